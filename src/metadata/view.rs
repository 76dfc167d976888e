// SPDX-License-Identifier: GPL-3.0-or-later
//! Which state of the metadata an answer comes from, and whether that state is still there when the answer is ready.

use super::block::Blocks;
use super::changed::ChangedError;
use super::error::Problem;
use super::superblock::{self, Superblock};
use crate::blockio::ReadAt;
use crate::units::Era;

/// Which state of the metadata to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The metadata snapshot of an active device.
    Snapshot,
    /// All there is, of a device that is not active. Includes the writeset in progress: after a crash it holds
    /// marks that are nowhere else.
    Offline,
}

/// Asks a question about eras from `since` on; `ask` gets the superblock of the view.
pub(super) fn read<T>(
    source: &dyn ReadAt,
    view: View,
    since: Era,
    ask: impl FnOnce(&mut Blocks, Superblock) -> Result<T, ChangedError>,
) -> Result<T, ChangedError> {
    let mut blocks = Blocks::new(source);
    let live = superblock::read_live(&blocks)?;
    blocks.claim(superblock::LOCATION);
    let ask = |blocks: &mut Blocks, superblock: Superblock| {
        if since > superblock.current_era {
            return Err(ChangedError::FullCopyNeeded { since, current: superblock.current_era });
        }
        ask(blocks, superblock)
    };
    match view {
        View::Offline => ask(&mut blocks, live),
        View::Snapshot => read_snapshot(&mut blocks, &live, since, ask),
    }
}

/// Somebody else may drop the snapshot while it is read. Its blocks are then free to be reused, also by blocks that
/// pass every check, so that what was read means nothing, be it an answer or an error.
fn read_snapshot<T>(
    blocks: &mut Blocks,
    live: &Superblock,
    since: Era,
    ask: impl FnOnce(&mut Blocks, Superblock) -> Result<T, ChangedError>,
) -> Result<T, ChangedError> {
    let Some(location) = live.metadata_snap else {
        return Err(Problem::NoSnapshot.at(superblock::LOCATION).into());
    };
    let snapshot = superblock::read_snapshot(blocks, location);
    let identity = snapshot.as_ref().ok().cloned();
    let answer = snapshot.map_err(ChangedError::from).and_then(|snapshot| {
        blocks.claim(location);
        let (covered, current) = (snapshot.current_era, live.current_era);
        if covered < since && since <= current {
            return Err(Problem::StaleSnapshot { snapshot: covered, since, current }.at(location).into());
        }
        ask(blocks, snapshot)
    });
    if is_still_held(blocks, location, identity.as_ref()) {
        answer
    } else {
        Err(Problem::SnapshotReplaced.at(location).into())
    }
}

/// Whether the snapshot at this location is held, and is the one that was read: every snapshot has an era of its own.
fn is_still_held(blocks: &Blocks, location: u64, read: Option<&Superblock>) -> bool {
    superblock::read_live(blocks).is_ok_and(|live| live.metadata_snap == Some(location))
        && read.is_none_or(|read| superblock::read_snapshot(blocks, location).is_ok_and(|now| now == *read))
}
