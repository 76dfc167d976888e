// SPDX-License-Identifier: GPL-3.0-or-later
//! Which blocks changed since an era.

use thiserror::Error;

use super::array::{self, Array};
use super::block::Blocks;
use super::btree::{self, Entry, Tree};
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
/// Takes at most one bit of memory for each block of the data device, plus about 1 MiB.
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
    add_archived_writesets(blocks, &superblock, since, &mut changed)?;
    if let Some(writeset) = superblock.current_writeset {
        add_writesets(blocks, &[writeset], &mut changed)?;
    }
    add_era_array(blocks, &superblock, since, &mut changed)?;
    Ok(Changed { superblock, since, blocks: changed })
}

fn add_archived_writesets(
    blocks: &mut Blocks,
    superblock: &Superblock,
    since: Era,
    changed: &mut BlockSet,
) -> Result<(), MetadataError> {
    let tree = Tree { root: superblock.writeset_tree_root, key_limit: ERA_LIMIT };
    btree::walk(blocks, &[tree], &mut |blocks, archived: Vec<Entry<WRITESET_BYTES>>| {
        let asked = archived.iter().filter(|entry| entry.key >= u64::from(since.0));
        let writesets: Vec<_> = asked.map(|entry| Writeset::unpack(&entry.value)).collect();
        add_writesets(blocks, &writesets, changed)
    })
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
    array::walk(blocks, &[array], 4, &mut |first, values| {
        let eras = values.as_chunks().0.iter().map(|era| u32::from_le_bytes(*era));
        // Gathers the bits of a word of the set before they are put there.
        let (mut word, mut bits) = (first / 64, 0);
        for (block, era) in (first..).zip(eras) {
            if block / 64 != word {
                changed.union_word(word, bits);
                (word, bits) = (block / 64, 0);
            }
            bits |= u64::from(era >= since.0) << (block % 64);
        }
        changed.union_word(word, bits);
    })
}
