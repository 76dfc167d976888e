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
use super::eras::{self, ERA_BYTES};
use super::error::MetadataError;
use super::superblock::{Superblock, Writeset};
use super::view::{self, View};
use super::writesets;
use crate::blockio::ReadAt;
use crate::runs::BlockSet;
use crate::units::Era;

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
    view::read(source, view, since, |blocks, superblock| collect(blocks, superblock, since))
}

fn collect(blocks: &mut Blocks, superblock: Superblock, since: Era) -> Result<Changed, ChangedError> {
    let mut changed = BlockSet::new(superblock.nr_blocks.into());
    let archived = writesets::walk_archived(blocks, &superblock, |blocks, archived| {
        let asked: Vec<_> =
            archived.into_iter().filter(|(era, _)| *era >= since).map(|(_, writeset)| writeset).collect();
        add_writesets(blocks, &asked, &mut changed)
    })?;
    if let Some(writeset) = superblock.current_writeset {
        add_writesets(blocks, &[writeset], &mut changed)?;
    }
    if !archived.is_some_and(|eras| eras.answer(since, superblock.current_era)) {
        add_era_array(blocks, &superblock, since, &mut changed)?;
    }
    Ok(Changed { superblock, since, blocks: changed })
}

fn add_writesets(
    blocks: &mut Blocks,
    writesets: &[Writeset],
    changed: &mut BlockSet,
) -> Result<(), MetadataError> {
    writesets::walk_words(blocks, writesets, &mut |index, bits| changed.union_word(index, bits))
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
