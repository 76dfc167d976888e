// SPDX-License-Identifier: GPL-3.0-or-later
//! Leaving a tracked device at shutdown.
//!
//! The device below / cannot be closed: something runs from it until the machine is off. But once its filesystem is
//! mounted read-only, nothing of it is written any more, and what closing records can be recorded while it is open.
//!
//! Recording too early cannot hide anything. What is written through the device afterwards is marked by dm-era, whatever
//! the header says, and if it touches a superblock the next `era open` takes it for a foreign write: a full copy too
//! many. That is why a filesystem that is still writable is left without a record.

use std::fs::File;

use anyhow::{Context, bail};

use super::disk::Disk;
use super::dm::{Dm, node};
use super::header::{self, State};
use super::kernel_metadata::{self, Found};
use super::lifecycle::{self, Closed, describe, write_header};
use super::opening::check_identity;
use super::stack::{self, Layer};
use super::{mounts, untracked};
use crate::device::fingerprint::Fingerprint;

/// How a device was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// It was not open.
    Already,
    /// Nobody used it: it is closed.
    Closed,
    /// It is open, read-only, and what it looks like is recorded.
    Recorded,
}

/// Closes a device that nobody uses; of one that is mounted read-only, records how it is left.
pub fn leave(dm: &Dm, data: &Disk, metadata: &Disk) -> anyhow::Result<Left> {
    let meta_path = || metadata.path.display().to_string();
    let header = header::read(metadata).with_context(meta_path)?.header;
    let Some(name) = stack::name_of(dm, header.device)? else { return Ok(Left::Already) };
    let tracked = dm.state(&Layer::Tracked.name(&name))?.filter(|state| state.live);
    let Some(tracked) = tracked.filter(|state| state.open_count > 0) else {
        return match lifecycle::close(dm, Some(data), metadata)? {
            Closed::Already => Ok(Left::Already),
            Closed::Clean(_) => Ok(Left::Closed),
            Closed::Unclean(name) => bail!("{name}: the data device is not the one that it was open on"),
        };
    };
    check_identity(&header, data)?;
    if stack::data_below(dm, &name)?.is_some_and(|below| below != data.number) {
        bail!("{}: is not the device that {name} is open on", data.path.display());
    }
    // A cut that was killed may have left it suspended, and what was written untracked must not be forgotten with it.
    stack::recover(dm, &name, header.device)?;
    untracked::see_to(dm, &name, Some(header.device))?;
    if let Some(mount) = mounts::on(tracked.number)?.into_iter().find(|mount| !mount.read_only) {
        bail!("{name}: is still mounted for writing on {}", mount.path.display());
    }
    // The last that the filesystem wrote may wait in the page cache of the device.
    let path = node(&name);
    File::open(&path).and_then(|device| device.sync_all()).with_context(|| path.display().to_string())?;

    let mut header = header::read(metadata).with_context(meta_path)?.header;
    let data_path = || data.path.display().to_string();
    let era = match kernel_metadata::look(metadata, &header)? {
        Found::InEra(era) => Some(era),
        // What is wrong with them is said when they are needed.
        Found::Zeros | Found::Unfit(_) => header.state.era,
    };
    header.state =
        State { clean: true, fingerprint: Some(Fingerprint::of(data).with_context(data_path)?), era };
    header.data.content = describe(data)?.content;
    write_header(&mut header, metadata).with_context(meta_path)?;
    Ok(Left::Recorded)
}
