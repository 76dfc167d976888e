// SPDX-License-Identifier: GPL-3.0-or-later
//! Which blocks changed since an era.
//!
//! # When the era array is not read
//!
//! It is by far the largest part, and the newest eras are not in it. The kernel archives eras in ascending order, and
//! digests them in ascending order: it takes the oldest writeset of the tree, puts all its bits into the array, and
//! only then removes it from the tree and takes the next. So every era that was digested wholly is older than all that
//! are in the tree, and of those the array has at most some bits of the oldest, all of which are in its writeset, too.
//! It follows that where the tree has a writeset of era E or older, all that the array knows since E is in the writesets.
//!
//! Where it has none, eras from E on may be in the array alone, and it is read; so it is where the tree has an era above
//! the current one, which no kernel leaves behind.

use thiserror::Error;

use super::array::{self, Array};
use super::block::Blocks;
use super::btree::{self, Entry, Tree};
use super::eras::{self, ERA_BYTES};
use super::error::{MetadataError, Problem};
use super::superblock::{self, Superblock, WRITESET_BYTES, Writeset};
use crate::blockio::ReadAt;
use crate::runs::BlockSet;
use crate::units::Era;

/// Eras are u32, so keys of the writeset tree are below this.
const ERA_LIMIT: u64 = 1 << 32;

/// Which state of the metadata to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The metadata snapshot of an active device.
    Snapshot,
    /// All there is, of a device that is not active. Includes the writeset in progress: after a crash it holds
    /// marks that are nowhere else.
    Offline,
}

/// The blocks that may have changed since an era.
#[derive(Debug)]
pub struct Changed {
    /// The superblock that the answer comes from.
    pub superblock: Superblock,
    /// The era asked about.
    pub since: Era,
    /// The blocks: all that were written in `since` or later, and perhaps some more.
    pub blocks: BlockSet,
}

impl Changed {
    /// Where the next increment starts: the first era that this answer does not cover wholly.
    pub fn next_since(&self) -> Era {
        self.superblock.current_era
    }
}

/// Why the question has no answer.
#[derive(Debug, Error)]
pub enum ChangedError {
    /// The metadata are younger than the cursor: they were made anew, and what changed before is not known.
    #[error(
        "asked for changes since era {since}, but the current era is {current}: these metadata were made anew \
         after that cursor was taken, or belong to another device; a full copy is needed"
    )]
    FullCopyNeeded {
        /// The cursor.
        since: Era,
        /// The newest era known.
        current: Era,
    },
    /// The metadata cannot be relied on.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// Finds the blocks written in era `since` or later.
///
/// Takes at most one bit of memory for each block of the data device, plus some MiB.
pub fn changed_since(source: &dyn ReadAt, view: View, since: Era) -> Result<Changed, ChangedError> {
    let mut blocks = Blocks::new(source);
    let live = superblock::read_live(&blocks)?;
    blocks.claim(superblock::LOCATION);
    match view {
        View::Offline => collect(&mut blocks, live, since),
        View::Snapshot => changed_in_snapshot(&mut blocks, &live, since),
    }
}

/// Somebody else may drop the snapshot while it is read. Its blocks are then free to be reused, also by blocks that
/// pass every check, so that what was read means nothing, be it an answer or an error.
fn changed_in_snapshot(blocks: &mut Blocks, live: &Superblock, since: Era) -> Result<Changed, ChangedError> {
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
        collect(blocks, snapshot, since)
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

fn collect(blocks: &mut Blocks, superblock: Superblock, since: Era) -> Result<Changed, ChangedError> {
    if since > superblock.current_era {
        return Err(ChangedError::FullCopyNeeded { since, current: superblock.current_era });
    }
    let mut changed = BlockSet::new(superblock.nr_blocks.into());
    let archived = add_archived_writesets(blocks, &superblock, since, &mut changed)?;
    if let Some(writeset) = superblock.current_writeset {
        add_writesets(blocks, &[writeset], &mut changed)?;
    }
    if !archived.is_some_and(|eras| eras.answer(since, superblock.current_era)) {
        add_era_array(blocks, &superblock, since, &mut changed)?;
    }
    Ok(Changed { superblock, since, blocks: changed })
}

/// The eras from the oldest to the newest archived writeset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Archived {
    oldest: u64,
    newest: u64,
}

impl Archived {
    fn and(this: Option<Self>, era: u64) -> Self {
        let Self { oldest, newest } = this.unwrap_or(Self { oldest: era, newest: era });
        Self { oldest: oldest.min(era), newest: newest.max(era) }
    }

    /// Whether the writesets alone answer the question, for the reasons above.
    fn answer(self, since: Era, current: Era) -> bool {
        self.oldest <= since.0.into() && self.newest <= current.0.into()
    }
}

/// Adds what was written since then, and says which eras there are, those before included.
fn add_archived_writesets(
    blocks: &mut Blocks,
    superblock: &Superblock,
    since: Era,
    changed: &mut BlockSet,
) -> Result<Option<Archived>, MetadataError> {
    let mut eras = None;
    let tree = Tree { root: superblock.writeset_tree_root, key_limit: ERA_LIMIT };
    btree::walk(blocks, &[tree], &mut |blocks, archived: Vec<Entry<WRITESET_BYTES>>| {
        eras = archived.iter().fold(eras, |eras, entry| Some(Archived::and(eras, entry.key)));
        let asked = archived.iter().filter(|entry| entry.key >= u64::from(since.0));
        let writesets: Vec<_> = asked.map(|entry| Writeset::unpack(&entry.value)).collect();
        add_writesets(blocks, &writesets, changed)
    })?;
    Ok(eras)
}

/// Bits beyond the device's last block are of a time when the device was larger.
fn add_writesets(
    blocks: &mut Blocks,
    writesets: &[Writeset],
    changed: &mut BlockSet,
) -> Result<(), MetadataError> {
    let bitset =
        |writeset: &Writeset| Array { root: writeset.root, len: u64::from(writeset.nr_bits).div_ceil(64) };
    let bitsets: Vec<_> = writesets.iter().map(bitset).collect();
    array::walk(blocks, &bitsets, 8, &mut |first, values| {
        let words = values.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
        for (index, bits) in (first..).zip(words) {
            changed.union_word(index, bits);
        }
    })
}

/// Entries above the current era cannot be, but taking them for changed is the safe side.
fn add_era_array(
    blocks: &mut Blocks,
    superblock: &Superblock,
    since: Era,
    changed: &mut BlockSet,
) -> Result<(), MetadataError> {
    let array = Array { root: superblock.era_array_root, len: superblock.nr_blocks.into() };
    array::walk(blocks, &[array], ERA_BYTES, &mut |first, entries| {
        eras::add_recent(changed, first, entries, since);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_array_is_done_without_where_nothing_newer_was_digested() {
        let archived = |eras: &[u64]| eras.iter().fold(None, |all, &era| Some(Archived::and(all, era)));
        let answers = |eras: &[u64], since| archived(eras).is_some_and(|a| a.answer(Era(since), Era(10)));
        assert!(answers(&[7, 8, 9], 7) && answers(&[9, 7], 8) && answers(&[9], 10));
        // The current era is archived when the device is suspended.
        assert!(answers(&[10], 10));
        assert!(!answers(&[7, 8, 9], 6) && !answers(&[], 10) && !answers(&[9], 0));
        // Era 11 cannot be.
        assert!(!answers(&[7, 11], 8));
    }
}
