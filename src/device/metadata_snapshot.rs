// SPDX-License-Identifier: GPL-3.0-or-later
//! Which blocks of an active device changed: a metadata snapshot is taken, read and dropped.
//!
//! The kernel holds one at a time. Another program's is waited for; ours is held only for as long as the list is read.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

use super::dm::Dm;
use super::failpoint;
use super::held::Held;
use super::room;
use super::traces::{Mark, Traces};
use super::tracked::Tracked;
use crate::blockio::Source;
use crate::metadata::{
    self, Changed, ChangedError, LastWritten, MetadataError, Problem, View, changed_since,
};
use crate::report;
use crate::units::Era;

/// How long another program's snapshot is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often to begin again when somebody drops our snapshot while we read it.
const TRIES: u32 = 5;

/// The blocks written in era `since` or later, all writes that have completed before the call included, and what the
/// device has grown by since. Rolls the era over.
pub fn changed(dm: &Dm, tracked: &Tracked, since: Era) -> anyhow::Result<Changed> {
    let mut changed = ask(dm, tracked, |source| changed_since(source, View::Snapshot, since))?;
    let blocks = changed.superblock.nr_blocks.into();
    let grown = tracked.growth().and_then(|g| g.changed_since(since, tracked.block_size, blocks));
    grown.into_iter().for_each(|run| changed.blocks.insert(run));
    Ok(changed)
}

/// When the blocks were written last, in era `since` or later, drawn with at most so many cells. Rolls the era over.
pub fn last_written(dm: &Dm, tracked: &Tracked, since: Era, max_cells: usize) -> anyhow::Result<LastWritten> {
    let mut all =
        ask(dm, tracked, |source| metadata::last_written(source, View::Snapshot, since, max_cells))?;
    let blocks = all.superblock.nr_blocks.into();
    if let Some(growth) = tracked.growth()
        && let Some(run) = growth.changed_since(since, tracked.block_size, blocks)
    {
        // It grew before that era, which is above 0.
        all.add_unknown(run, Era(growth.before.0 - 1));
    }
    Ok(all)
}

/// Asks a question of a metadata snapshot that is taken for it.
fn ask<T>(
    dm: &Dm,
    tracked: &Tracked,
    question: impl Fn(&Source) -> Result<T, ChangedError>,
) -> anyhow::Result<T> {
    let (source, path) = tracked.open_metadata()?;
    for _ in 0..TRIES {
        let held = take(dm, tracked)?;
        failpoint::reach("metadata-snapshot-taken");
        let result = question(&source);
        failpoint::reach("metadata-read");
        let is_replaced = !drop_ours(dm, &tracked.name, held)? || is_replaced(&result);
        match result {
            Err(_) if is_replaced => {
                let name = &tracked.name;
                report::warn(format_args!("{name}: another program dropped our metadata snapshot; again"));
            }
            result => return result.with_context(|| path.display().to_string()),
        }
    }
    bail!("{}: another program drops our metadata snapshots; stop it and try again", tracked.name)
}

/// Takes one and says which it is; none where somebody has dropped it at once.
fn take(dm: &Dm, tracked: &Tracked) -> anyhow::Result<Option<Held>> {
    let name = &tracked.name;
    let traces = Traces::of(name);
    let begin = Instant::now();
    let mut told = false;
    loop {
        let status = dm.era_status(name)?;
        let error = if status.snapshot.is_some() {
            anyhow!(
                "{name}: another program holds a metadata snapshot; if none is at work: dmsetup message {name} 0 \
                 drop_metadata_snap"
            )
        } else {
            room::check(tracked, &status)?;
            traces.leave(Mark::MetadataSnapshot)?;
            match dm.message(name, "take_metadata_snap") {
                Ok(()) => {
                    let held = Held::of(dm, name).inspect_err(|_| {
                        // The first error is the one to tell of.
                        let _ = dm.message(name, "drop_metadata_snap");
                    })?;
                    held.map(|held| traces.name_snapshot(held)).transpose()?;
                    return Ok(held);
                }
                // Somebody else was faster.
                Err(e) => {
                    traces.wipe(Mark::MetadataSnapshot)?;
                    e
                }
            }
        };
        if begin.elapsed() >= PATIENCE {
            return Err(error);
        }
        if !told {
            report::note(format_args!("{name}: waiting for the metadata snapshot of another program"));
            told = true;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Drops our snapshot, if it is ours still.
fn drop_ours(dm: &Dm, name: &str, held: Option<Held>) -> anyhow::Result<bool> {
    let is_ours = held.is_some() && Held::of(dm, name)? == held;
    if is_ours {
        dm.message(name, "drop_metadata_snap")?;
    }
    failpoint::reach("metadata-snapshot-dropped");
    Traces::of(name).wipe(Mark::MetadataSnapshot)?;
    Ok(is_ours)
}

fn is_replaced<T>(result: &Result<T, ChangedError>) -> bool {
    matches!(
        result,
        Err(ChangedError::Metadata(MetadataError {
            problem: Problem::SnapshotReplaced | Problem::NoSnapshot,
            ..
        }))
    )
}
