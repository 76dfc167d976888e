// SPDX-License-Identifier: GPL-3.0-or-later
//! An active tracked device, locked for one command: a stack of ours, or a bare dm-era device that somebody made with
//! dmsetup.
//!
//! It is found by what the kernel says alone, so that a line in eratab that was changed meanwhile does not matter.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use anyhow::{Context, bail};
use devicemapper::Device;
use uuid::Uuid;

use super::cut::Emergency;
use super::disk::{lock_device, path_of};
use super::dm::Dm;
use super::eratab::Name;
use super::growth::Growth;
use super::header;
use super::stack::{self, Layer};
use super::table::Target;
use super::traces::{Mark, Traces};
use super::untracked;
use crate::blockio::Source;
use crate::report;
use crate::units::{BlockSize, SECTOR_BYTES};

/// An active device that no other command works on.
pub struct Tracked {
    /// Its name.
    pub name: String,
    /// Whether it is ours.
    pub stack: Option<Stack>,
    /// Its identity in streams.
    pub device: Uuid,
    /// The life of its metadata.
    pub generation: Uuid,
    /// Its number.
    pub number: Device,
    /// The device that dm-era keeps its metadata on.
    pub metadata: Device,
    /// The device that dm-era passes I/O on to.
    pub origin: Device,
    /// Its size in bytes.
    pub bytes: u64,
    /// Size of its blocks.
    pub block_size: BlockSize,
    /// Held for as long as this lives, and by a guardian.
    lock: File,
}

/// What a stack has and a bare device has not.
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    /// The uuid in the names of its layers.
    pub uuid: Uuid,
    /// The data device below it.
    pub data: Device,
    /// Space for snapshots, and how much, in sectors.
    pub cow: Option<(Device, u64)>,
    /// By what the data device has grown.
    pub growth: Option<Growth>,
}

/// The namespace of the identities of bare devices, which have none of their own.
const BARE: Uuid = Uuid::from_u128(0x6d1c_2f0e_5f0a_4b1e_9c55_1a9d_0e6b_7c31);

impl Tracked {
    /// Whether it has grown, as its header says.
    pub fn growth(&self) -> Option<Growth> {
        self.stack.and_then(|stack| stack.growth)
    }

    /// Finds an active device and takes its lock; cleans up after a command that has died.
    pub fn find(dm: &Dm, name: &Name) -> anyhow::Result<Self> {
        let name = name.as_str();
        let stack_uuid = dm.state(name)?.and_then(|state| uuid_of(&state.uuid));
        if stack_uuid.is_none() {
            refuse_bare(dm, name)?;
        }
        let metadata_disk = match stack_uuid {
            Some(_) if dm.state(name)?.is_some_and(|state| state.live) => {
                below(dm, &Layer::Metadata.name(name))?
            }
            _ => era_table(dm, name)?.metadata,
        };
        let path = path_of(metadata_disk)?;
        let file = lock_device(metadata_disk)?;
        if recover(dm, name, stack_uuid)? {
            report::note(format_args!("{name}: cleaned up after an interrupted command"));
        }
        untracked::refuse(dm, name, stack_uuid.is_some())?;
        // It may have been closed, or opened anew, while the lock was waited for.
        let era = era_table(dm, name)?;
        let (stack, device, generation) = match stack_uuid {
            Some(uuid) => {
                let (stack, generation) = stack_of(dm, name, uuid, &path)?;
                (Some(stack), uuid, generation)
            }
            None => {
                let device = Uuid::new_v5(&BARE, format!("{name} {}", era.sectors).as_bytes());
                (None, device, bare_generation(name, era.block_sectors))
            }
        };
        let sectors = u32::try_from(era.block_sectors).context("block size")?;
        Ok(Self {
            name: name.into(),
            stack,
            device,
            generation,
            number: era.number,
            metadata: era.metadata,
            origin: era.origin,
            bytes: era.sectors * SECTOR_BYTES,
            block_size: BlockSize::from_sectors(sectors)?,
            lock: file,
        })
    }

    /// Undoes whatever a cut has done to the device and not undone. May be repeated.
    pub fn recover(&self, dm: &Dm) -> anyhow::Result<()> {
        recover(dm, &self.name, self.stack.map(|stack| stack.uuid)).map(drop)
    }

    /// Lets writes to it through again, prepared.
    pub fn emergency(&self) -> io::Result<Emergency> {
        Emergency::prepare(&self.name, self.stack.is_some(), self.origin, self.bytes / SECTOR_BYTES)
    }

    /// Opens the metadata for reading while the kernel uses them.
    pub fn open_metadata(&self) -> anyhow::Result<(Source, PathBuf)> {
        let path = path_of(self.metadata)?;
        let source = Source::open_metadata(&path, false).with_context(|| path.display().to_string())?;
        Ok((source, path))
    }

    /// Where the device itself is read.
    pub fn path(&self) -> anyhow::Result<PathBuf> {
        path_of(self.number)
    }
}

/// Nothing but the marks tells that a bare device was one of dm-era.
fn refuse_bare(dm: &Dm, name: &str) -> anyhow::Result<()> {
    let traces = Traces::of(name);
    if traces.has(Mark::Suspended) {
        untracked::see_to(dm, name, None)?;
    }
    if traces.has(Mark::Untracked) { untracked::refuse(dm, name, false) } else { Ok(()) }
}

/// Undoes what a command of ours has left, and refuses what somebody else holds suspended. Returns whether there was
/// something.
pub fn recover(dm: &Dm, name: &str, stack: Option<Uuid>) -> anyhow::Result<bool> {
    let traces = Traces::of(name);
    let is_held = match stack {
        Some(uuid) => stack::held(dm, name, uuid)?,
        None => dm.state(name)?.filter(|state| state.suspended && state.live).map(|_| name.into()),
    };
    if let Some(device) = is_held
        && !traces.has(Mark::Suspended)
    {
        let cure =
            if stack.is_some() { format!("era open {name}") } else { format!("dmsetup resume {name}") };
        bail!(
            "{device}: is suspended or about to be changed, not by a command of era: whoever is at work on it should end \
             that; if nobody is, `{cure}` puts it in order"
        );
    }
    let done = match stack {
        Some(uuid) => stack::recover(dm, name, uuid)?,
        None => false,
    };
    traces.clean_up(dm)?;
    untracked::see_to(dm, name, stack)?;
    Ok(done)
}

impl AsFd for Tracked {
    /// The lock.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }
}

/// The names of all active devices that are tracked or should be.
pub fn active(dm: &Dm) -> anyhow::Result<Vec<String>> {
    let mut names = dm.era_devices(|uuid| uuid_of(uuid).is_some())?;
    for name in Traces::devices_with(Mark::Untracked) {
        if !names.contains(&name) && dm.state(&name)?.is_some() {
            names.push(name);
        }
    }
    Ok(names)
}

/// The data device and the metadata device that an active device is on, and whether it is a stack of ours.
pub fn devices_of(dm: &Dm, name: &str) -> anyhow::Result<(Device, Device, bool)> {
    let uuid = dm.state(name)?.and_then(|state| uuid_of(&state.uuid));
    match uuid {
        Some(_) => {
            let layer = |layer: Layer| below(dm, &layer.name(name));
            Ok((layer(Layer::Data)?, layer(Layer::Metadata)?, true))
        }
        None => {
            let era = era_table(dm, name)?;
            Ok((era.origin, era.metadata, false))
        }
    }
}

/// What a table of dm-era says.
struct EraTable {
    number: Device,
    sectors: u64,
    metadata: Device,
    origin: Device,
    block_sectors: u64,
}

fn era_table(dm: &Dm, name: &str) -> anyhow::Result<EraTable> {
    let Some(state) = dm.state(name)?.filter(|state| state.live) else {
        bail!("{name}: there is no such active device; era open {name} activates it, if it is in eratab");
    };
    match dm.table(name)? {
        (sectors, Target::Era { metadata, origin, block_sectors }) => {
            Ok(EraTable { number: state.number, sectors, metadata, origin, block_sectors })
        }
        (_, other) => bail!("{name}: is a device of target {}, not a tracked one", other.name()),
    }
}

/// The device that a layer is on.
fn below(dm: &Dm, layer: &str) -> anyhow::Result<Device> {
    match dm.table(layer)?.1 {
        Target::Linear { device, .. } | Target::SnapshotOrigin { origin: device } => Ok(device),
        other => bail!("{layer}: has target {}, must be linear", other.name()),
    }
}

/// The uuid in that of a tracked device of ours.
fn uuid_of(dm_uuid: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(dm_uuid.strip_prefix("ERA-")?).ok()?;
    (Layer::Tracked.uuid(uuid) == dm_uuid).then_some(uuid)
}

fn stack_of(dm: &Dm, name: &str, uuid: Uuid, metadata: &std::path::Path) -> anyhow::Result<(Stack, Uuid)> {
    let path = || metadata.display().to_string();
    let source = Source::open_metadata(metadata, false).with_context(path)?;
    let header = header::read(&source).with_context(path)?.header;
    if header.device != uuid {
        bail!("{}: has the header of device {}, {name} is {uuid}", path(), header.device);
    }
    let cow_layer = Layer::Cow.name(name);
    let cow = match dm.state(&cow_layer)?.filter(|state| state.live) {
        Some(state) => Some((state.number, dm.table(&cow_layer)?.0)),
        None => None,
    };
    let data = below(dm, &Layer::Data.name(name))?;
    Ok((Stack { uuid, data, cow, growth: header.growth }, header.generation))
}

/// Nothing in the metadata of a bare device tells one life of theirs from another. This tells devices and block sizes
/// apart; metadata that somebody has zeroed since are noticed only as long as their era is below the cursor's.
fn bare_generation(name: &str, block_sectors: u64) -> Uuid {
    Uuid::new_v5(&BARE, format!("generation {name} {block_sectors}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_uuids_are_ours() {
        let uuid = Uuid::from_u128(7);
        assert_eq!(uuid_of(&Layer::Tracked.uuid(uuid)), Some(uuid));
        for foreign in ["", "ERA-", "ERA-x", "LVM-abc", &Layer::Data.uuid(uuid), &format!("ERA-{uuid}")] {
            assert_eq!(uuid_of(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn bare_generations_depend_on_name_and_block_size() {
        assert_eq!(bare_generation("a", 8), bare_generation("a", 8));
        assert_ne!(bare_generation("a", 8), bare_generation("b", 8));
        assert_ne!(bare_generation("a", 8), bare_generation("a", 16));
    }
}
