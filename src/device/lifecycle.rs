// SPDX-License-Identifier: GPL-3.0-or-later
//! The life of a tracked device: create, open, close, remove.
//!
//! The header decides. It is written before dm-era's metadata are used for the first time, says whether the device was
//! closed in order, and names the data device; the kernel's own metadata know none of that. What is written to the
//! metadata device, and when:
//!
//! | step | the header | dm-era's metadata |
//! | --- | --- | --- |
//! | create | new device, new generation | first 4 KiB zeroed, before the header: the kernel makes them new |
//! | open | no longer clean; size of a data device that has grown | zeroed where writes have bypassed tracking, after a header with a new generation |
//! | close | clean, the fingerprint | - |
//! | remove | wiped | - |

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use devicemapper::Device;
use uuid::Uuid;

use super::disk::{Disk, number_of};
use super::dm::Dm;
use super::eratab::Name;
use super::fingerprint::{Comparison, Fingerprint};
use super::header::{self, DataDevice, Header, HeaderError, State};
use super::sizing::{self, HEADER_BYTES};
use super::stack::{self, Layer, Parts};
use super::traces::{Mark, Traces};
use super::{identity, signature, untracked};
use crate::blockio::{ReadAt, WriteAt, read_exact, write_full};
use crate::report;
use crate::sys::AlignedBuf;
use crate::units::{BlockSize, Extent, SECTOR_BYTES};

/// What the kernel looks at to tell whether metadata are there: zeros mean that it makes them new.
const KERNEL_SUPERBLOCK_BYTES: usize = 4096;

/// What to create.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// Size of dm-era's blocks.
    pub block_size: BlockSize,
    /// Space for snapshots; all the rest of the metadata device where not given.
    pub cow_bytes: Option<u64>,
    /// Whether discards are passed on.
    pub discards: bool,
    /// Whether to overwrite what the metadata device holds.
    pub force: bool,
}

/// Opens the two devices of a tracked device that is to be: two different ones, which nobody uses.
pub fn open_unused(data: &Path, metadata: &Path) -> anyhow::Result<(Disk, Disk)> {
    // First, as a device that is open for us is in use.
    if number_of(data)? == number_of(metadata)? {
        bail!("{}: is both the data and the metadata device; they must be two", data.display());
    }
    let (data, metadata) = (Disk::open_unused(data)?, Disk::open_unused(metadata)?);
    metadata.lock()?;
    Ok((data, metadata))
}

/// Makes a header for a data device, whose contents stay as they are. Everything is checked before anything is written,
/// and nothing of what was written stays where it fails.
pub fn create(
    dm: &Dm,
    name: &Name,
    data: &Disk,
    metadata: &Disk,
    wishes: &Wishes,
) -> anyhow::Result<Created> {
    for layer in stack::LAYERS {
        let device = layer.name(name.as_str());
        if dm.state(&device)?.is_some() {
            bail!("{device}: a device of this name exists; choose another name");
        }
    }
    let blocks = sizing::count_blocks(data.bytes(), wishes.block_size)
        .with_context(|| data.path.display().to_string())?;
    let layout = sizing::layout(metadata.bytes(), blocks, wishes.cow_bytes)
        .with_context(|| metadata.path.display().to_string())?;
    if !wishes.force {
        refuse_used(metadata)?;
    }
    let mut header = Header::new(Uuid::new_v4(), Uuid::new_v4(), describe(data), wishes.block_size, layout);
    header.name = Some(name.as_str().into());
    header.options.discards = wishes.discards;
    header.state = State { clean: true, fingerprint: Some(fingerprint(data)?) };
    let places = overwritten(metadata, &header);
    let before = Saved::of(metadata, &places)?;
    let write = |header: &mut Header| -> anyhow::Result<()> {
        // Signatures of what was there before would be found again by others, and dm-era's old metadata by the kernel.
        for &place in &places {
            metadata.zero(place)?;
        }
        metadata.sync()?;
        write_header(header, metadata)
    };
    write(&mut header)
        .inspect_err(|_| before.put_back(metadata))
        .with_context(|| metadata.path.display().to_string())?;
    Ok(Created { header, before })
}

/// A header that was made, and what stood in its place, for when a later step fails.
pub struct Created {
    /// The header.
    pub header: Header,
    before: Saved,
}

impl Created {
    /// Puts back what was there, as well as it goes: the error that led here is the one to tell of.
    pub fn undo(&self, metadata: &Disk) {
        self.before.put_back(metadata);
    }
}

/// What `create` overwrites: the header's place, the superblock of dm-era's metadata, and the end of the device, where
/// backups of partition tables and superblocks of RAID stand.
fn overwritten(metadata: &Disk, header: &Header) -> [Extent; 3] {
    let last = metadata.bytes() - HEADER_BYTES;
    [
        Extent { offset: 0, len: HEADER_BYTES },
        kernel_superblock(header),
        Extent { offset: last, len: HEADER_BYTES },
    ]
}

fn kernel_superblock(header: &Header) -> Extent {
    Extent { offset: header.layout.metadata.offset, len: KERNEL_SUPERBLOCK_BYTES as u64 }
}

/// Both copies; one that could not be written is told of, as the other one is in force.
fn write_header(header: &mut Header, metadata: &Disk) -> anyhow::Result<()> {
    let (source, target) = metadata.halves();
    if let Some(note) = header::write(header, source, target)? {
        report::warn(format_args!("{}: {note}", metadata.path.display()));
    }
    Ok(())
}

/// What stood where `create` writes.
struct Saved(Vec<(u64, AlignedBuf)>);

impl Saved {
    fn of(disk: &Disk, places: &[Extent]) -> anyhow::Result<Self> {
        let save = |place: &Extent| -> anyhow::Result<_> {
            let mut buf = aligned(disk, usize::try_from(place.len)?);
            read_exact(disk, &mut buf, place.offset).with_context(|| disk.path.display().to_string())?;
            Ok((place.offset, buf))
        };
        Ok(Self(places.iter().map(save).collect::<Result<_, _>>()?))
    }

    /// As well as it goes.
    fn put_back(&self, disk: &Disk) {
        for (offset, bytes) in &self.0 {
            let _ = write_full(disk, bytes, *offset);
        }
        let _ = disk.sync();
    }
}

fn aligned(disk: &Disk, len: usize) -> AlignedBuf {
    AlignedBuf::new(len, disk.align().max(KERNEL_SUPERBLOCK_BYTES))
}

fn refuse_used(metadata: &Disk) -> anyhow::Result<()> {
    let path = metadata.path.display();
    match header::read(metadata) {
        Err(HeaderError::NotThere) => {}
        Ok(_) => bail!(
            "{path}: has the header of another tracked device; remove that, or pass --force to overwrite it"
        ),
        Err(e) => bail!("{path}: {e}; pass --force to overwrite it"),
    }
    if let Some(found) = signature::find(&metadata.path)? {
        bail!("{path}: metadata device holds {found}; pass --force to overwrite it");
    }
    let mut first = aligned(metadata, KERNEL_SUPERBLOCK_BYTES);
    read_exact(metadata, &mut first, 0).with_context(|| path.to_string())?;
    if first.iter().any(|&byte| byte != 0) {
        bail!(
            "{path}: metadata device holds data of an unknown kind (dm-era's own metadata, without a header, perhaps); \
             pass --force to overwrite it"
        );
    }
    Ok(())
}

/// The kernel makes new metadata where it finds zeros.
fn forget_kernel_metadata(metadata: &Disk, header: &Header) -> anyhow::Result<()> {
    metadata.zero(kernel_superblock(header))?;
    Ok(metadata.sync()?)
}

fn describe(data: &Disk) -> DataDevice {
    DataDevice { size_bytes: data.bytes(), id: data.stable_id(), path: Some(data.path.display().to_string()) }
}

/// What opening found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It was open already.
    Already,
    /// It was closed in order and nothing has changed since.
    Continued,
    /// It was not closed in order: tracking is complete, but whether something bypassed it cannot be known.
    AfterCrash,
    /// Something wrote to the data device while it was closed; a new generation has begun.
    NewGeneration,
    /// dm-era had been taken out, and is in its place again; a new generation has begun.
    TrackedAgain,
}

/// Opens a tracked device, or completes one that is half open. `discards` says whether to pass them on; as the header
/// says where it is not given.
pub fn open(
    dm: &Dm,
    name: &Name,
    data: &Disk,
    metadata: &Disk,
    discards: Option<bool>,
) -> anyhow::Result<Opened> {
    let meta_path = || metadata.path.display().to_string();
    let found = header::read(metadata).with_context(meta_path)?.header;
    check_identity(&found, data)?;
    if is_live(dm, name, Layer::Tracked, found.device)? {
        // Whatever is missing around it is made; its own table must be right.
        stack::recover(dm, name.as_str(), found.device)?;
        Traces::of(name.as_str()).clean_up(dm)?;
        if untracked::is_out(dm, name.as_str())? {
            track_again(dm, name, found, data, metadata)?;
            return Ok(Opened::TrackedAgain);
        }
        stack::put_up(dm, &parts(name, &found, data.number, metadata.number))?;
        return Ok(Opened::Already);
    }
    check_room(&found, data)?;
    // After a crash while it was opened, our own layers may hold the devices already.
    let is_live = |layer| is_live(dm, name, layer, found.device);
    if !is_live(Layer::Data)? {
        data.check_unused()?;
    }
    if !is_live(Layer::Metadata)? && !is_live(Layer::Cow)? {
        metadata.check_unused()?;
    }
    let comparison = match &found.state {
        State { clean: true, fingerprint: Some(earlier) } => {
            Some(earlier.compare(data).with_context(|| data.path.display().to_string())?)
        }
        _ => None,
    };
    let bypassed = comparison == Some(Comparison::Differs);
    let mut header = found.clone();
    (header.state, header.data) = (State::default(), describe(data));
    header.options.discards = discards.unwrap_or(found.options.discards);
    if bypassed {
        header.generation = Uuid::new_v4();
    }
    write_header(&mut header, metadata).with_context(meta_path)?;
    Traces::of(name.as_str()).forget()?;
    if bypassed {
        // After the header: a new generation with old metadata only costs a full pass, an old one with new metadata
        // would lose changes.
        forget_kernel_metadata(metadata, &header).with_context(meta_path)?;
    }
    stack::put_up(dm, &parts(name, &header, data.number, metadata.number)).inspect_err(|_| {
        // Nothing was written to the data device: what was known of it is still true, but for a generation that has
        // begun. The error that led here is the one to tell of.
        if !bypassed {
            let mut header = header.clone();
            header.state = found.state;
            let _ = write_header(&mut header, metadata);
        }
    })?;
    Ok(match comparison {
        Some(Comparison::Differs) => Opened::NewGeneration,
        Some(Comparison::Same) => Opened::Continued,
        Some(Comparison::Unknown) | None => Opened::AfterCrash,
    })
}

/// Puts dm-era back where it was taken out, in a new generation and with new metadata: nobody knows what was written
/// meanwhile.
fn track_again(dm: &Dm, name: &Name, mut header: Header, data: &Disk, metadata: &Disk) -> anyhow::Result<()> {
    let meta_path = || metadata.path.display().to_string();
    header.generation = Uuid::new_v4();
    write_header(&mut header, metadata).with_context(meta_path)?;
    // Before it is tracked: a mark that outlived that would be taken for one of the next time.
    Traces::of(name.as_str()).wipe(Mark::Untracked)?;
    forget_kernel_metadata(metadata, &header).with_context(meta_path)?;
    stack::put_back(dm, &parts(name, &header, data.number, metadata.number))
}

fn fingerprint(data: &Disk) -> anyhow::Result<Fingerprint> {
    Fingerprint::of(data).with_context(|| data.path.display().to_string())
}

/// Whether a layer of this device is there with a table in use.
fn is_live(dm: &Dm, name: &Name, layer: Layer, device: Uuid) -> anyhow::Result<bool> {
    let state = dm.state(&layer.name(name.as_str()))?;
    Ok(state.is_some_and(|state| state.live && state.uuid == layer.uuid(device)))
}

fn check_identity(header: &Header, data: &Disk) -> anyhow::Result<()> {
    let path = data.path.display();
    let found = data.stable_id();
    if let Some(recorded) = &header.data.id
        && found.as_ref() != Some(recorded)
    {
        bail!(
            "{path}: is not the recorded data device: recorded is {} {}, this has {}; the line in eratab is wrong, or \
             disks were swapped",
            recorded.kind,
            recorded.value,
            found.map_or("none".into(), |id| format!("{} {}", id.kind, id.value))
        );
    }
    if data.bytes() < header.data.size_bytes {
        bail!(
            "{path}: is not the recorded data device, or has shrunk: it has {} bytes, recorded are {}",
            data.bytes(),
            header.data.size_bytes
        );
    }
    Ok(())
}

/// A device that has grown may have outgrown its metadata.
fn check_room(header: &Header, data: &Disk) -> anyhow::Result<()> {
    let blocks = sizing::count_blocks(data.bytes(), header.block_size)
        .with_context(|| data.path.display().to_string())?;
    let needed = sizing::metadata_bytes_needed(blocks);
    if data.bytes() > header.data.size_bytes && needed > header.layout.metadata.len {
        bail!(
            "{}: has grown, and tracking it now takes {} of metadata; there are {}: remove tracking and create it \
             again with a larger metadata device",
            data.path.display(),
            report::size(needed),
            report::size(header.layout.metadata.len)
        );
    }
    Ok(())
}

/// The stack that a header describes.
pub fn parts(name: &Name, header: &Header, data: Device, metadata: Device) -> Parts {
    let region = |extent: Extent| stack::Region {
        offset: extent.offset / SECTOR_BYTES,
        sectors: extent.len / SECTOR_BYTES,
    };
    Parts {
        name: name.as_str().into(),
        uuid: header.device,
        data,
        data_sectors: header.data.size_bytes / SECTOR_BYTES,
        metadata,
        metadata_region: region(header.layout.metadata),
        cow_region: header.layout.cow.map(region),
        block_sectors: header.block_size.bytes() / SECTOR_BYTES,
        discards: header.options.discards,
    }
}

/// Closes a tracked device and records the fingerprint. Returns whether it was open.
pub fn close(dm: &Dm, name: &Name, data: &Disk, metadata: &Disk) -> anyhow::Result<bool> {
    let meta_path = || metadata.path.display().to_string();
    let mut header = header::read(metadata).with_context(meta_path)?.header;
    check_identity(&header, data)?;
    if is_live(dm, name, Layer::Tracked, header.device)? {
        // What was written untracked must not be forgotten with it.
        untracked::see_to(dm, name.as_str(), Some(header.device))?;
        header = header::read(metadata).with_context(meta_path)?.header;
    }
    if !stack::take_down(dm, name.as_str(), header.device)? {
        return Ok(false);
    }
    // Nothing of ours is above the data device now; what is written to it from here on bypasses tracking.
    header.state = State { clean: true, fingerprint: Some(fingerprint(data)?) };
    write_header(&mut header, metadata).with_context(meta_path)?;
    Traces::of(name.as_str()).forget()?;
    Ok(true)
}

/// Takes tracking away from a closed device: the header goes, the data stay.
pub fn remove(metadata: &Disk) -> anyhow::Result<()> {
    let (source, target) = metadata.halves();
    header::wipe(source, target).with_context(|| metadata.path.display().to_string())
}

/// Where the data device of a header is now.
pub fn find_data(header: &Header) -> Option<PathBuf> {
    let by_id = header.data.id.as_ref().map(identity::find);
    by_id.unwrap_or_else(|| header.data.path.as_ref().map(Into::into))
}
