// SPDX-License-Identifier: GPL-3.0-or-later
//! When the blocks of the device were written last, as a picture: one cell for some number of blocks, and how many blocks
//! are of which age.
//!
//! Ages are counted in eras, as metadata know no time, and by powers of four: what matters is whether something was
//! written lately, some backups ago, or long ago. A cell has the age of its newest block.
//!
//! # Memory
//!
//! Two bits for each block of the device, however many eras there are. Blocks are told once, newest first, so that one set
//! of those that were told is enough: the writeset in progress, archived writesets from the newest to the oldest, the
//! array. That is the order of eras, as the kernel digests the oldest writeset first. A tree may have a great many
//! writesets that are older than all classes but the last: these are put into a second set, in any order.

use super::array::{self, Array};
use super::block::Blocks;
use super::changed::ChangedError;
use super::eras::ERA_BYTES;
use super::error::MetadataError;
use super::superblock::{Superblock, Writeset};
use super::view::{self, View};
use super::writesets;
use crate::blockio::ReadAt;
use crate::runs::{BlockSet, Run};
use crate::units::Era;

/// How many classes of age there are.
pub const AGES: usize = 6;

/// A class of ages, by how many eras ago it was: 0, 1 to 3, 4 to 15, and so on; the last has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age(u8);

impl Age {
    const OLDEST: Self = Self(5);

    /// All, the youngest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=Self::OLDEST.0).map(Self)
    }

    /// The age of what was written so many eras ago.
    pub fn of(eras_ago: u32) -> Self {
        // Once for each block of the device, so without looking through all of them.
        let class = eras_ago.checked_ilog2().map_or(0, |log| log / 2 + 1);
        Self(u8::try_from(class).unwrap_or(u8::MAX)).min(Self::OLDEST)
    }

    /// Which one of all it is.
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// The number of eras ago where it begins.
    pub fn first(self) -> u32 {
        if self.0 == 0 { 0 } else { 1 << (2 * (self.0 - 1)) }
    }

    /// The number of eras ago where it ends.
    pub fn last(self) -> u32 {
        if self == Self::OLDEST { u32::MAX } else { (1 << (2 * self.0)) - 1 }
    }
}

/// When the parts of a device were written last.
#[derive(Debug)]
pub struct LastWritten {
    /// The superblock that the answer comes from.
    pub superblock: Superblock,
    /// What was written before this era counts as not written.
    pub since: Era,
    /// The newest era that a block can have.
    pub newest: Era,
    /// For each cell, the age of its newest block; none where nothing was written.
    pub cells: Vec<Option<Age>>,
    /// A cell has two to the power of this many blocks.
    shift: u32,
    counts: [u64; AGES],
    told: BlockSet,
    /// Blocks of the last class; some of them may be among those that were told.
    oldest: BlockSet,
}

/// Looks when the blocks were written last, in era `since` or later, and draws that with at most so many cells.
pub fn last_written(
    source: &dyn ReadAt,
    view: View,
    since: Era,
    max_cells: usize,
) -> Result<LastWritten, ChangedError> {
    view::read(source, view, since, |blocks, superblock| {
        // A snapshot's era is the first one that it does not cover.
        let newest = match view {
            View::Snapshot => superblock.current_era.0.saturating_sub(1),
            View::Offline => superblock.current_era.0,
        };
        let mut all = LastWritten::new(superblock, since, Era(newest), max_cells);
        all.collect(blocks)?;
        Ok(all)
    })
}

impl LastWritten {
    fn new(superblock: Superblock, since: Era, newest: Era, max_cells: usize) -> Self {
        let blocks = u64::from(superblock.nr_blocks);
        let per_cell = blocks.div_ceil((max_cells as u64).max(1)).next_power_of_two();
        let shift = per_cell.trailing_zeros();
        let cells = usize::try_from(blocks.div_ceil(per_cell)).unwrap_or(usize::MAX);
        Self {
            superblock,
            since,
            newest,
            cells: vec![None; cells],
            shift,
            counts: [0; AGES],
            told: BlockSet::new(blocks),
            oldest: BlockSet::new(blocks),
        }
    }

    /// Number of blocks in a cell; the last one may have fewer.
    pub fn blocks_per_cell(&self) -> u64 {
        1 << self.shift
    }

    /// How many blocks are of this age.
    pub fn blocks(&self, age: Age) -> u64 {
        if age < Age::OLDEST { self.counts[age.index()] } else { self.oldest.len_without(&self.told) }
    }

    /// Says of blocks that the metadata call never written that they were written in an era, at the latest.
    pub fn add_unknown(&mut self, run: Run, era: Era) {
        for block in run.begin..run.end {
            self.tell(block, era);
        }
    }

    fn collect(&mut self, blocks: &mut Blocks) -> Result<(), ChangedError> {
        let superblock = self.superblock.clone();
        if let Some(writeset) = superblock.current_writeset {
            self.tell_writeset(blocks, superblock.current_era, &writeset)?;
        }
        // Those of the classes between: there are no more of them than eras in these classes.
        let mut between = Vec::new();
        let archived = writesets::walk_archived(blocks, &superblock, |blocks, archived| {
            let since = self.since;
            for (era, writeset) in archived.into_iter().filter(|(era, _)| *era >= since) {
                let age = self.age(era);
                if age == Age(0) || age == Age::OLDEST {
                    self.tell_writeset(blocks, era, &writeset)?;
                } else {
                    between.push((era, writeset));
                }
            }
            Ok(())
        })?;
        between.sort_unstable_by_key(|(era, _)| std::cmp::Reverse(*era));
        for (era, writeset) in between {
            self.tell_writeset(blocks, era, &writeset)?;
        }
        if !archived.is_some_and(|eras| eras.answer(self.since, superblock.current_era)) {
            let array = Array { root: superblock.era_array_root, len: superblock.nr_blocks.into() };
            array::walk(blocks, &[array], ERA_BYTES, &mut |first, entries| {
                let eras = entries.as_chunks().0.iter().map(|entry| Era(u32::from_le_bytes(*entry)));
                (first..).zip(eras).for_each(|(block, era)| self.tell(block, era));
            })?;
        }
        Ok(())
    }

    fn tell_writeset(&mut self, blocks: &mut Blocks, era: Era, set: &Writeset) -> Result<(), MetadataError> {
        writesets::walk_words(blocks, &[*set], &mut |index, mut bits| {
            while bits != 0 {
                self.tell(index * 64 + u64::from(bits.trailing_zeros()), era);
                bits &= bits - 1;
            }
        })
    }

    /// A block was written in an era. What is told later of the same block counts for nothing.
    #[inline]
    fn tell(&mut self, block: u64, era: Era) {
        // Era 0: never. Bits beyond the end are of a time when the device was larger.
        if era < self.since || era.0 == 0 || block >= u64::from(self.superblock.nr_blocks) {
            return;
        }
        let age = self.age(era);
        let bit = |set: &mut BlockSet| set.union_word(block / 64, 1 << (block % 64));
        if age == Age::OLDEST {
            bit(&mut self.oldest);
        } else if !self.told.contains(block) {
            bit(&mut self.told);
            self.counts[age.index()] += 1;
        }
        // Below the number of cells, which is a usize.
        #[allow(clippy::cast_possible_truncation)]
        let cell = &mut self.cells[(block >> self.shift) as usize];
        *cell = Some(cell.map_or(age, |newest| newest.min(age)));
    }

    /// Eras above the newest cannot be; they count as that.
    fn age(&self, era: Era) -> Age {
        Age::of(self.newest.0.saturating_sub(era.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_meet() {
        let all: Vec<_> = Age::all().map(|age| (age.first(), age.last())).collect();
        assert_eq!(all, [(0, 0), (1, 3), (4, 15), (16, 63), (64, 255), (256, u32::MAX)]);
        assert_eq!(all.len(), AGES);
        for age in Age::all() {
            assert_eq!((Age::of(age.first()), Age::of(age.last())), (age, age));
        }
    }
}
