// SPDX-License-Identifier: GPL-3.0-or-later
//! The life of a tracked device: create, close, remove; `opening` is the rest of it.
//!
//! The header decides. It is written before dm-era's metadata are used for the first time, says whether the device was
//! closed in order, and names the data device; the kernel's own metadata know none of that. What is written to the
//! metadata device, and when:
//!
//! | step | the header | dm-era's metadata |
//! | --- | --- | --- |
//! | create | new device, new generation | first 4 KiB zeroed, before the header: the kernel makes them new |
//! | open | no longer clean, the era; what a data device has grown by | zeroed where a new generation begins, after a header that says so |
//! | close | clean, the fingerprint, the era; unchanged where the data device is gone | - |
//! | shutdown, while mounted read-only (`leaving`) | as close | - |
//! | remove | wiped | - |

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use devicemapper::Device;
use uuid::Uuid;

use super::disk::{Disk, number_of};
use super::dm::Dm;
use super::eratab::Name;
use super::fingerprint::Fingerprint;
use super::header::{self, DataDevice, Header, HeaderError, State};
use super::kernel_metadata::{self, Found};
use super::opening::check_identity;
use super::sizing::{self, HEADER_BYTES};
use super::stack::{self, Layer, Parts};
use super::traces::Traces;
use super::{failpoint, identity, signature, untracked};
use crate::blockio::{ReadAt, WriteAt, read_exact, write_full};
use crate::report;
use crate::sys::AlignedBuf;
use crate::units::{BlockSize, Extent, SECTOR_BYTES};

/// What is looked at where nobody's signature was found.
const FIRST_BYTES: usize = 4096;

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
    /// The data device is in use: what it looks like now says nothing, and nothing is recorded.
    pub in_use: bool,
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

/// Opens the two devices of a tracked device that is to be from the next boot on: only the metadata device must be free.
pub fn open_in_use(data: &Path, metadata: &Path) -> anyhow::Result<(Disk, Disk)> {
    if number_of(data)? == number_of(metadata)? {
        bail!("{}: is both the data and the metadata device; they must be two", data.display());
    }
    let (data, metadata) = (Disk::open_held(data)?, Disk::open_unused(metadata)?);
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
    failpoint::arm();
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
    let mut header = Header::new(Uuid::new_v4(), Uuid::new_v4(), describe(data)?, wishes.block_size, layout);
    header.name = Some(name.as_str().into());
    header.options.discards = wishes.discards;
    if !wishes.in_use {
        header.state = State { clean: true, fingerprint: Some(fingerprint(data)?), era: None };
    }
    let places = overwritten(metadata, &header);
    let before = Saved::of(metadata, &places)?;
    let write = |header: &mut Header| -> anyhow::Result<()> {
        // Signatures of what was there before would be found again by others, and dm-era's old metadata by the kernel.
        for &place in &places {
            metadata.zero(place)?;
        }
        metadata.sync()?;
        failpoint::reach("life-zeroed");
        write_header(header, metadata)
    };
    write(&mut header)
        .inspect_err(|_| before.put_back(metadata))
        .with_context(|| metadata.path.display().to_string())?;
    failpoint::reach("life-written");
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
        kernel_metadata::superblock(header),
        Extent { offset: last, len: HEADER_BYTES },
    ]
}

/// Both copies; one that could not be written is told of, as the other one is in force.
pub(super) fn write_header(header: &mut Header, metadata: &Disk) -> anyhow::Result<()> {
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
    AlignedBuf::new(len, disk.align().max(FIRST_BYTES))
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
    let mut first = aligned(metadata, FIRST_BYTES);
    read_exact(metadata, &mut first, 0).with_context(|| path.to_string())?;
    if first.iter().any(|&byte| byte != 0) {
        bail!(
            "{path}: metadata device holds data of an unknown kind (dm-era's own metadata, without a header, perhaps); \
             pass --force to overwrite it"
        );
    }
    Ok(())
}

/// What is recorded of a data device.
pub(super) fn describe(data: &Disk) -> anyhow::Result<DataDevice> {
    // A path is printed by whoever reads the header: one that would move the cursor is not worth keeping.
    let path = Some(data.path.display().to_string()).filter(|path| !path.contains(char::is_control));
    Ok(DataDevice {
        size_bytes: data.bytes(),
        id: data.stable_id(),
        content: signature::content(data)?,
        path,
    })
}

fn fingerprint(data: &Disk) -> anyhow::Result<Fingerprint> {
    Fingerprint::of(data).with_context(|| data.path.display().to_string())
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

/// What closing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It was not open.
    Already,
    /// It was open under this name, and is closed in order.
    Clean(String),
    /// It was open under this name. What the data device looks like could not be recorded, as it is not there, or is not
    /// the one that the stack was on, which may have gone and come back.
    Unclean(String),
}

/// Closes a tracked device, whatever name it is open under, and records how it was left. A data device that is gone
/// keeps nothing open.
pub fn close(dm: &Dm, data: Option<&Disk>, metadata: &Disk) -> anyhow::Result<Closed> {
    failpoint::arm();
    let meta_path = || metadata.path.display().to_string();
    let mut header = header::read(metadata).with_context(meta_path)?.header;
    if let Some(data) = data {
        check_identity(&header, data)?;
    }
    let device = header.device;
    let Some(current) = stack::name_of(dm, device)? else { return Ok(Closed::Already) };
    if dm.state(&Layer::Tracked.name(&current))?.is_some_and(|state| state.live) {
        // What was written untracked must not be forgotten with it.
        untracked::see_to(dm, &current, Some(device))?;
        header = header::read(metadata).with_context(meta_path)?.header;
    }
    let below = stack::data_below(dm, &current)?;
    let data = data.filter(|data| below.is_none_or(|below| below == data.number));
    stack::take_down(dm, &current, device, || {
        // Opening has written a header that is not clean, which stays where nothing can be said of the data device.
        let Some(data) = data else { return Ok(()) };
        let era = match kernel_metadata::look(metadata, &header)? {
            Found::InEra(era) => Some(era),
            // What is wrong with them is said when they are needed.
            Found::Zeros | Found::Unfit(_) => header.state.era,
        };
        header.state = State { clean: true, fingerprint: Some(fingerprint(data)?), era };
        header.data.content = signature::content(data)?;
        write_header(&mut header, metadata).with_context(meta_path)
    })?;
    // Somebody may have renamed one of the layers only.
    while let Some(rest) = stack::name_of(dm, device)? {
        stack::take_down(dm, &rest, device, || Ok(()))?;
    }
    Traces::of(&current).forget()?;
    Ok(if data.is_some() { Closed::Clean(current) } else { Closed::Unclean(current) })
}

/// Takes tracking away from a closed device: the header goes, the data stay. Neither of the two may be in use, or the
/// header would go from under whatever uses them. A data device that was never tracked is used by others, as is one that
/// was to be tracked from the next boot on.
pub fn remove(data: Option<&Disk>, metadata: &Disk) -> anyhow::Result<()> {
    let state = header::read(metadata).with_context(|| metadata.path.display().to_string())?.header.state;
    let was_opened = state.clean || state.era.is_some();
    if was_opened {
        data.map(Disk::check_unused).transpose()?;
    }
    let metadata = Disk::open_unused(&metadata.path)?;
    let (source, target) = metadata.halves();
    header::wipe(source, target).with_context(|| metadata.path.display().to_string())
}

/// Takes tracking away from a device that is in use, / perhaps: from the next boot on it is not opened. Until then dm-era
/// goes on in its own part of the metadata device, and nobody asks it any more.
pub fn remove_in_use(metadata: &Disk) -> anyhow::Result<()> {
    let (source, target) = metadata.halves();
    header::wipe(source, target).with_context(|| metadata.path.display().to_string())
}

/// Where the data device of a header is now. Where no device has its name, that is the path that it had; whoever opens it
/// checks what it finds there.
pub fn find_data(header: &Header) -> Option<PathBuf> {
    let by_id = header.data.id.as_ref().and_then(identity::find);
    let path = || header.data.path.as_ref().map(PathBuf::from).filter(|path| path.exists());
    by_id.or_else(path)
}
