// SPDX-License-Identifier: GPL-3.0-or-later
//! Points of a device are taken away, and then what nobody needs any more.
//!
//! Which points stay is decided as in a directory. Snapshots of other devices, and what others have put into the repository, are
//! left alone. What their data need is seen by rustic, which looks at all snapshots; it works beside backups that are under way:
//! what is not needed is marked first, where it is not young, and goes with a later run, when it was marked for long and is still not needed.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rustic_core::repofile::SnapshotId;
use rustic_core::{OpenStatus, PruneOptions, Repository};

use super::failure::failure;
use super::points::{Device, Point};
use crate::device::failpoint;
use crate::report;
use crate::repository::retention::{Keep, kept};

/// How long data stay that no snapshot needs, before they are marked, and then marked: longer than any backup takes, whose snapshot comes last.
const KEEP_HOURS: i64 = 7 * 24;

/// Bytes of the repository after a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Were deleted.
    pub removed_bytes: u64,
    /// Were marked, to be deleted by a later run.
    pub marked_bytes: u64,
}

/// The points of a device that a rule does not keep, oldest first. One that says itself that it must stay, stays, and so does the one that
/// the next backup begins from: where clocks were wrong, that is not the newest by its time.
pub fn unneeded<'a>(device: &'a Device, keep: &Keep, zone: &TimeZone) -> Vec<&'a Point> {
    let times: Vec<_> = device.points.iter().map(|point| point.time).collect();
    let now = Timestamp::now();
    let kept = kept(&times, keep, zone, now);
    if let Some(point) = device.points.last().filter(|point| point.time > now) {
        report::warn(format_args!(
            "point {} is of {}, which is yet to come: the clock was wrong when it was made, or it is not what it says it is",
            point.id(),
            point.time
        ));
    }
    let parent = device.last_with_cursor().map(|(point, _)| point.snapshot);
    let made_last = device.made_last().map(|point| point.snapshot);
    let stays = |point: &Point| [parent, made_last].contains(&Some(point.snapshot));
    let going = device.points.iter().zip(kept).filter(|(_, kept)| !kept).map(|(point, _)| point);
    let going = going.filter(|point| !stays(point));
    going.filter(|point| !is_protected(point)).collect()
}

fn is_protected(point: &Point) -> bool {
    if point.is_protected {
        report::warn(format_args!(
            "point {} stays: its snapshot says that it must not be deleted yet",
            point.id()
        ));
    }
    point.is_protected
}

/// Checks that anything may be deleted, as far as the repository says.
pub fn check_deletable(repository: &Repository<OpenStatus>) -> anyhow::Result<()> {
    if repository.config().append_only == Some(true) {
        bail!(
            "the repository is append-only: nothing can be taken away from it as long as its configuration says so"
        );
    }
    Ok(())
}

/// Deletes the snapshots of points.
pub fn forget(repository: &Repository<OpenStatus>, points: &[&Point]) -> anyhow::Result<()> {
    check_deletable(repository)?;
    if points.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = points.iter().map(|point| point.snapshot).collect();
    repository.delete_snapshots(&ids).map_err(failure).context(MAY_NOT)
}

/// How often at most, where each time backups have ended meanwhile.
const ROUNDS: usize = 5;

const MAY_NOT: &str = "cannot delete snapshots; where this machine may only add to the repository, run era prune on one that may \
                       delete from it, too";

/// Frees what no snapshot of the repository needs, whoever made them.
pub fn free(repository: &Repository<OpenStatus>) -> anyhow::Result<Freed> {
    check_deletable(repository)?;
    let keep = Span::new().hours(KEEP_HOURS);
    let options = PruneOptions::default().keep_pack(keep).keep_delete(keep);
    let what = "cannot free what no point needs any more; the points that were to go have gone, and a later run frees it";
    let listed = || -> anyhow::Result<BTreeSet<SnapshotId>> {
        Ok(repository.list::<SnapshotId>().map_err(failure).context(what)?.collect())
    };
    let mut freed = Freed::default();
    for round in 1..=ROUNDS {
        let before = listed()?;
        let plan = match repository.prune_plan(&options) {
            Ok(plan) => plan,
            // The index is read before the snapshots are: one that was written between needs what that index does not have.
            Err(_) if round < ROUNDS && !listed()?.is_subset(&before) => continue,
            Err(e) => return Err(failure(e)).context(what),
        };
        // What a snapshot needs that was left out of a list would be taken for unneeded.
        let planned = listed()?;
        if !before.is_subset(&planned) {
            bail!("{what}: snapshots went meanwhile, or are not listed each time");
        }
        let stats = &plan.stats;
        let size = stats.size_sum();
        freed.removed_bytes += stats.size_to_delete.remove;
        freed.marked_bytes = size.remove + stats.size_unref;
        failpoint::reach("restic-pruning");
        repository.prune(&options, plan).map_err(failure).context(what)?;
        // A backup that has ended meanwhile may need what was marked just now: with its snapshot listed, that is taken back.
        if listed()?.is_subset(&before) {
            break;
        }
    }
    Ok(freed)
}
