// SPDX-License-Identifier: GPL-3.0-or-later
//! Writesets: the bitsets of blocks that were written in one era, archived in a tree until they are digested.

use super::array::{self, Array};
use super::block::Blocks;
use super::btree::{self, Entry, Tree};
use super::error::MetadataError;
use super::superblock::{Superblock, WRITESET_BYTES, Writeset};
use crate::units::Era;

/// Eras are u32, so keys of the writeset tree are below this.
const ERA_LIMIT: u64 = 1 << 32;

/// The eras from the oldest to the newest archived writeset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Archived {
    oldest: u64,
    newest: u64,
}

impl Archived {
    fn and(this: Option<Self>, era: u64) -> Self {
        let Self { oldest, newest } = this.unwrap_or(Self { oldest: era, newest: era });
        Self { oldest: oldest.min(era), newest: newest.max(era) }
    }

    /// Whether the writesets alone say what was written in `since` or later, for the reasons in `changed`.
    pub(super) fn answer(self, since: Era, current: Era) -> bool {
        self.oldest <= since.0.into() && self.newest <= current.0.into()
    }
}

/// Visits the archived writesets, in no order, some at a time, and says which eras there are.
pub(super) fn walk_archived(
    blocks: &mut Blocks,
    superblock: &Superblock,
    mut visit: impl FnMut(&mut Blocks, Vec<(Era, Writeset)>) -> Result<(), MetadataError>,
) -> Result<Option<Archived>, MetadataError> {
    let mut eras = None;
    let tree = Tree { root: superblock.writeset_tree_root, key_limit: ERA_LIMIT };
    btree::walk(blocks, &[tree], &mut |blocks, archived: Vec<Entry<WRITESET_BYTES>>| {
        eras = archived.iter().fold(eras, |eras, entry| Some(Archived::and(eras, entry.key)));
        // Keys are below the limit.
        let era = |entry: &Entry<WRITESET_BYTES>| Era(u32::try_from(entry.key).unwrap_or(u32::MAX));
        visit(blocks, archived.iter().map(|entry| (era(entry), Writeset::unpack(&entry.value))).collect())
    })?;
    Ok(eras)
}

/// Visits the bits of writesets: the number of a word, and its 64 bits. Bits beyond the device's last block are of a time
/// when the device was larger.
pub(super) fn walk_words(
    blocks: &mut Blocks,
    writesets: &[Writeset],
    visit: &mut dyn FnMut(u64, u64),
) -> Result<(), MetadataError> {
    let bitset =
        |writeset: &Writeset| Array { root: writeset.root, len: u64::from(writeset.nr_bits).div_ceil(64) };
    let bitsets: Vec<_> = writesets.iter().map(bitset).collect();
    array::walk(blocks, &bitsets, 8, &mut |first, values| {
        let words = values.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
        for (index, bits) in (first..).zip(words) {
            visit(index, bits);
        }
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
