// SPDX-License-Identifier: GPL-3.0-or-later
//! The state of a tracked device, and what is wrong with it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;
use uuid::Uuid;

use super::disk::{number_of, path_of};
use super::dm::Dm;
use super::eratab::Name;
use super::header;
use super::stack::{self, Layer};
use super::table::Target;
use super::traces::{Mark, Traces};
use super::tracked::devices_of;
use super::untracked;
use crate::blockio::{ReadAt, Source};
use crate::units::SECTOR_BYTES;

/// From here on the metadata device is called nearly full: dm-era fails writes when it is.
const NEARLY_FULL_PERCENT: u64 = 80;

/// What a device is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// Not active.
    Closed,
    /// Active and working.
    Open,
    /// Active, but all I/O waits; its status cannot be asked for.
    Suspended,
    /// Active, but dm-era had to be taken out: nothing is tracked.
    Untracked,
    /// Some of its layers are missing.
    Partial,
}

/// Everything there is to say. What is not known is `None`.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: Activity,
    /// Whether it is a stack of ours or a bare dm-era device that somebody made with dmsetup.
    pub kind: Kind,
    /// Path of the data device.
    pub data: Option<String>,
    /// Path of the metadata device.
    pub metadata: Option<String>,
    /// Its own id.
    pub device: Option<Uuid>,
    /// The life of its metadata.
    pub generation: Option<Uuid>,
    /// Size of the data device.
    pub data_bytes: Option<u64>,
    /// Size of a block.
    pub block_size_bytes: Option<u64>,
    /// The era in progress.
    pub current_era: Option<u32>,
    /// Metadata blocks of 4 KiB in use.
    pub metadata_used_blocks: Option<u64>,
    /// Metadata blocks of 4 KiB there are.
    pub metadata_total_blocks: Option<u64>,
    /// Whether a metadata snapshot is held.
    pub metadata_snapshot: Option<bool>,
    /// Whether a snapshot is in place: a command is at work, or was interrupted.
    pub snapshot: bool,
    /// Space for snapshots.
    pub cow_bytes: Option<u64>,
    /// Whether discards are passed on.
    pub discards: Option<bool>,
    /// What is wrong, and the cure.
    pub problems: Vec<String>,
}

/// How a device was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// By `era create`.
    Full,
    /// By hand.
    Bare,
}

impl Status {
    /// Of a device of which nothing is known yet.
    pub fn empty(name: &str, kind: Kind) -> Self {
        Self {
            name: name.into(),
            state: Activity::Closed,
            kind,
            data: None,
            metadata: None,
            device: None,
            generation: None,
            data_bytes: None,
            block_size_bytes: None,
            current_era: None,
            metadata_used_blocks: None,
            metadata_total_blocks: None,
            metadata_snapshot: None,
            snapshot: false,
            cow_bytes: None,
            discards: None,
            problems: Vec::new(),
        }
    }
}

/// A disk that is only looked at. Where it is opened for writing, udev looks at it anew when it is closed, and a read-only
/// one cannot be.
#[derive(Debug)]
pub struct Seen {
    path: PathBuf,
    source: Source,
}

impl Seen {
    /// Opens a disk, whoever uses it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        number_of(path)?;
        let source = Source::open(path).with_context(|| format!("{}: cannot open", path.display()))?;
        Ok(Self { path: path.to_owned(), source })
    }
}

/// The status of a device of the table. What goes wrong is part of it.
pub fn of_stack(dm: &Dm, name: &Name, data: anyhow::Result<Seen>, metadata: anyhow::Result<Seen>) -> Status {
    let mut status = Status::empty(name.as_str(), Kind::Full);
    match &data {
        Ok(disk) => {
            status.data = Some(disk.path.display().to_string());
            status.data_bytes = Some(disk.source.size());
        }
        Err(e) => status.problems.push(format!("{e:#}")),
    }
    match metadata {
        Ok(disk) => add_header(&mut status, &disk),
        Err(e) => status.problems.push(format!("{e:#}")),
    }
    if let Err(e) = add_kernel(dm, &mut status) {
        status.problems.push(format!("{e:#}"));
    }
    status
}

/// The status of an active device that is in no table: a stack of ours, or a bare dm-era device. None where it is gone by
/// now.
pub fn of_active(dm: &Dm, name: &str) -> anyhow::Result<Option<Status>> {
    let status = of_listed(dm, name);
    Ok(dm.state(name)?.map(|_| status))
}

fn of_listed(dm: &Dm, name: &str) -> Status {
    let paths = devices_of(dm, name).and_then(|(data, metadata, is_stack)| {
        let paths = (path_of(data)?, path_of(metadata)?);
        Ok((paths, is_stack.then(|| name.parse::<Name>()).transpose()?))
    });
    match paths {
        Ok(((data, metadata), Some(name))) => of_stack(dm, &name, Seen::open(&data), Seen::open(&metadata)),
        Ok(((data, metadata), None)) => {
            let mut status = Status::empty(name, Kind::Bare);
            status.data = Some(data.display().to_string());
            status.metadata = Some(metadata.display().to_string());
            let result = add_kernel(dm, &mut status).and_then(|()| untracked::refuse(dm, name, false));
            if let Err(e) = result {
                status.problems.push(format!("{e:#}"));
            }
            status
        }
        // No longer dm-era, it says nothing of its devices.
        Err(_) if Traces::of(name).has(Mark::Untracked) => {
            let mut status = Status::empty(name, Kind::Bare);
            status.state = Activity::Untracked;
            status.problems.push(untracked::problem(name, false));
            status
        }
        Err(e) => {
            let mut status = Status::empty(name, Kind::Full);
            status.problems.push(format!("{e:#}"));
            status
        }
    }
}

fn add_header(status: &mut Status, metadata: &Seen) {
    status.metadata = Some(metadata.path.display().to_string());
    match header::read(&metadata.source) {
        Ok(found) => {
            let header = found.header;
            status.device = Some(header.device);
            status.generation = Some(header.generation);
            status.block_size_bytes = Some(header.block_size.bytes());
            status.cow_bytes = header.layout.cow.map(|cow| cow.len);
            status.discards = Some(header.options.discards);
            if let Some(note) = found.note {
                status.problems.push(format!("{note}; opening or closing mends it"));
            }
        }
        Err(e) => status.problems.push(format!("{}: {e}", metadata.path.display())),
    }
}

/// What the kernel says. A suspended device is not asked for its status.
fn add_kernel(dm: &Dm, status: &mut Status) -> anyhow::Result<()> {
    let layers: &[Layer] = match status.kind {
        Kind::Full => &[Layer::Tracked, Layer::Data, Layer::Metadata],
        Kind::Bare => &[Layer::Tracked],
    };
    let mut suspended = Vec::new();
    let mut live = 0;
    let mut present = 0;
    for layer in layers {
        let name = layer.name(&status.name);
        let Some(state) = dm.state(&name)? else { continue };
        present += 1;
        live += usize::from(state.live);
        if state.live && state.suspended {
            suspended.push(name);
        }
    }
    status.state = match (suspended.len(), live, present) {
        (0, ..) if untracked::is_out(dm, &status.name)? => Activity::Untracked,
        (0, live, _) if live == layers.len() => Activity::Open,
        (0, _, 0) => Activity::Closed,
        (0, ..) => Activity::Partial,
        _ => Activity::Suspended,
    };
    if let Some(device) = status.device
        && let Some(current) = stack::name_of(dm, device)?
        && current != status.name
    {
        status.problems.push(format!(
            "is open as {current}; `era close {0}` closes it, and `era open {0}` opens it under its new name",
            status.name
        ));
    }
    match status.state {
        Activity::Suspended => {
            let names = suspended.join(" and ");
            let cure = match status.kind {
                Kind::Full => format!("era open {}", status.name),
                Kind::Bare => format!("dmsetup resume {}", status.name),
            };
            status.problems.push(format!(
                "{names} is suspended: writes wait; if no command is at work on it, `{cure}` resumes it"
            ));
        }
        Activity::Partial => status.problems.push(format!(
            "some of its layers are missing; `era open {0}` completes it, `era close {0}` cleans up",
            status.name
        )),
        Activity::Untracked => {
            status.problems.push(untracked::problem(&status.name, status.kind == Kind::Full));
        }
        Activity::Closed | Activity::Open => {}
    }
    if status.kind == Kind::Full {
        status.snapshot = dm.state(&Layer::Snapshot.name(&status.name))?.is_some();
    }
    if dm.state(&status.name)?.is_some_and(|state| state.live)
        && let (sectors, Target::Era { block_sectors, .. }) = dm.table(&status.name)?
    {
        status.data_bytes.get_or_insert(sectors * SECTOR_BYTES);
        status.block_size_bytes.get_or_insert(block_sectors * SECTOR_BYTES);
    }
    if status.state == Activity::Open {
        add_era(dm, status)?;
    }
    Ok(())
}

/// What dm-era says of itself.
fn add_era(dm: &Dm, status: &mut Status) -> anyhow::Result<()> {
    let era = dm.era_status(&status.name)?;
    status.current_era = Some(era.era);
    status.metadata_used_blocks = Some(era.used);
    status.metadata_total_blocks = Some(era.total);
    status.metadata_snapshot = Some(era.snapshot.is_some());
    if era.used * 100 >= era.total * NEARLY_FULL_PERCENT {
        status.problems.push(format!(
            "its metadata are nearly full, {} of {} blocks; when they are full, writes fail: drop a metadata snapshot \
             that is held, or track it anew with larger blocks or a larger metadata device",
            era.used, era.total
        ));
    }
    Ok(())
}
