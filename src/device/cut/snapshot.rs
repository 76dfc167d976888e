// SPDX-License-Identifier: GPL-3.0-or-later
//! A cut with a snapshot: one moment of the device, while writes go on.
//!
//! Everything is made and loaded before; while the device is suspended only three resumes follow:
//!
//! ```text
//! before:  NAME (era) ── NAME-data (linear) ── disk
//! after:   NAME (era) ── NAME-data (snapshot-origin) ── disk
//!                        NAME-snap (snapshot) ─────────── disk, and NAME-cow
//! ```

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use thiserror::Error;

use super::{hold, next_era};
use crate::blockio::Source;
use crate::device::disk::path_of;
use crate::device::dm::{Audience, Dm};
use crate::device::failpoint;
use crate::device::guardian::Guardian;
use crate::device::stack::Layer;
use crate::device::table::{SnapshotStatus, Target};
use crate::device::traces::{Mark, Traces};
use crate::device::tracked::Tracked;
use crate::report;
use crate::sys::DmRequest;
use crate::units::{Era, SECTOR_BYTES};

/// How much is copied away at the first write to it: small, as random writes pay for all of it; large enough that the
/// kernel's table of chunks stays small.
const CHUNK_SECTORS: u64 = 32;

/// The snapshot is of no use any more. The kernel has one word for both reasons.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "the snapshot was lost: more was written during the copy than the {} of snapshot space hold, or writing to that space \
     failed, which the kernel's log would say{}",
    report::size(*.space),
    .seen.map_or(String::new(), |used| format!("; not long before, {} were in use", report::size(used)))
)]
pub struct Lost {
    /// Bytes of copy-on-write space.
    pub space: u64,
    /// How many of them were in use when they were last looked at.
    pub seen: Option<u64>,
}

/// How often to look how much of the space is in use.
const LOOK: Duration = Duration::from_millis(500);

/// A snapshot of a tracked device. Dropped, it is taken away by its guardian.
pub struct Snapshot<'a> {
    dm: &'a Dm,
    tracked: &'a Tracked,
    /// The snapshot, for reading. Before the guardian, so that it is closed when that takes it away.
    pub source: Source,
    guardian: Guardian,
    /// Its path.
    pub path: PathBuf,
    /// The era that the next increment begins with.
    pub next: Era,
    /// For how long writes were held back.
    pub held: Duration,
    /// When its space was last looked at, and how many bytes of it were in use.
    seen: Cell<(Instant, Option<u64>)>,
}

impl<'a> Snapshot<'a> {
    /// Makes a snapshot of a device that has space for one.
    pub fn take(dm: &'a Dm, tracked: &'a Tracked, limit: Duration) -> anyhow::Result<Self> {
        let Some((stack, (cow, _))) = tracked.stack.and_then(|stack| Some((stack, stack.cow?))) else {
            bail!("{}: has no space for snapshots; use --consistency freeze or none", tracked.name);
        };
        let next = next_era(dm, tracked)?;
        let (name, data, snap) =
            (&tracked.name, Layer::Data.name(&tracked.name), Layer::Snapshot.name(&tracked.name));
        let sectors = tracked.bytes / SECTOR_BYTES;
        // First of all, as whatever is made from now on is its to take away.
        let mut guardian = Guardian::start(tracked, &[], limit)?;
        failpoint::reach("guarded");
        Traces::of(name).leave(Mark::Suspended)?;
        // udev learns from the first table that this device is ours, which it remembers when the cut's resume tells it
        // nothing; or the filesystem on it would be found a second time.
        dm.create(&snap, &Layer::Snapshot.uuid(stack.uuid), sectors, &Target::Error, Audience::Ourselves)?;
        failpoint::reach("snapshot-made");
        // The first use of these targets loads their module, which would be read from a suspended root filesystem.
        let snapshot = Target::Snapshot { origin: stack.data, cow, chunk_sectors: CHUNK_SECTORS };
        dm.load(&snap, sectors, &snapshot)?;
        dm.load(&data, sectors, &Target::SnapshotOrigin { origin: stack.data })?;
        failpoint::reach("prepared");
        let steps = [
            ("suspended", DmRequest::suspend(name, true)?),
            ("snapshot-active", DmRequest::resume(&snap)?),
            ("origin-active", DmRequest::resume(&data)?),
            ("resumed", DmRequest::resume(name)?),
        ];
        let held = hold(dm, tracked, &mut guardian, &steps)?;
        let number = dm.state(&snap)?.with_context(|| format!("{snap}: is gone"))?.number;
        let path = path_of(number)?;
        let source = Source::open(&path).with_context(|| path.display().to_string())?;
        let seen = Cell::new((Instant::now(), None));
        Ok(Self { dm, tracked, guardian, source, path, next, held, seen })
    }

    /// Notes how full it is. To be called now and then during the copy.
    pub fn look(&self) {
        let (when, seen) = self.seen.get();
        if when.elapsed() < LOOK {
            return;
        }
        let used = match self.dm.snapshot_status(&Layer::Snapshot.name(&self.tracked.name)) {
            Ok(SnapshotStatus::Valid { used, .. }) => Some(used * SECTOR_BYTES),
            // Whether it is lost is asked at the end.
            _ => seen,
        };
        self.seen.set((Instant::now(), used));
    }

    /// Whether what was read from it is right.
    pub fn check(&self) -> anyhow::Result<Result<(), Lost>> {
        Ok(match self.dm.snapshot_status(&Layer::Snapshot.name(&self.tracked.name))? {
            SnapshotStatus::Valid { .. } => Ok(()),
            SnapshotStatus::Lost(_) => {
                let sectors =
                    self.tracked.stack.and_then(|stack| stack.cow).map_or(0, |(_, sectors)| sectors);
                Err(Lost { space: sectors * SECTOR_BYTES, seen: self.seen.get().1 })
            }
        })
    }

    /// Takes the snapshot away.
    pub fn finish(self) -> anyhow::Result<()> {
        // Open, it could not be removed.
        drop(self.source);
        failpoint::reach("copied");
        self.tracked.recover(self.dm)?;
        failpoint::reach("removed");
        self.guardian.dismiss()
    }
}
