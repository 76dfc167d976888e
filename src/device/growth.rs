// SPDX-License-Identifier: GPL-3.0-or-later
//! What a data device held already in the part by which it grew. No I/O.
//!
//! The kernel gives new blocks era 0: written in no era that anybody asks for. But a logical volume or a partition
//! that has grown holds there whatever was there before, and the last block, if it was a partial one, now has a rest that no
//! mirror has. So everything behind the old end counts as changed for whoever has a cursor of before.

use crate::runs::Run;
use crate::units::{BlockSize, Era};

/// A device has grown, once or several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The size that it had before, in bytes: the smallest of several.
    pub from_bytes: u64,
    /// Cursors below this era are of before: the latest of several growths.
    pub before: Era,
}

impl Growth {
    /// What is to be recorded when a device has grown from this size, and its metadata are in this era while it is closed.
    ///
    /// Every cursor of before is at most that era: it is of an era that the metadata have committed. Opening rolls the era
    /// over, and a later cursor is of an era after that.
    pub fn after(earlier: Option<Self>, from_bytes: u64, era: Era) -> Self {
        let from_bytes = earlier.map_or(from_bytes, |growth| growth.from_bytes.min(from_bytes));
        Self { from_bytes, before: Era(era.0.saturating_add(1)) }
    }

    /// The blocks that count as changed since an era, of a device with this many now.
    pub fn changed_since(&self, since: Era, block_size: BlockSize, blocks: u64) -> Option<Run> {
        let begin = block_size.block_of(self.from_bytes);
        (since < self.before && begin < blocks).then_some(Run { begin, end: blocks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_of_before_get_everything_behind_the_old_end() {
        let block_size = BlockSize::from_sectors(8).unwrap();
        let growth = Growth::after(None, 10 * 4096, Era(7));
        let changed = |growth: Growth, since| growth.changed_since(Era(since), block_size, 20);
        assert_eq!(changed(growth, 7), Some(Run { begin: 10, end: 20 }));
        assert_eq!(changed(growth, 0), Some(Run { begin: 10, end: 20 }));
        assert_eq!(changed(growth, 8), None);
        // The block that the old end was in has grown, too.
        let growth = Growth::after(None, 10 * 4096 + 512, Era(7));
        assert_eq!(changed(growth, 7), Some(Run { begin: 10, end: 20 }));
        assert_eq!(growth.changed_since(Era(7), block_size, 10), None);
    }

    #[test]
    fn several_growths_are_one_from_the_smallest_size_to_the_latest_era() {
        let growth = Growth::after(Some(Growth::after(None, 4096, Era(3))), 8192, Era(9));
        assert_eq!(growth, Growth { from_bytes: 4096, before: Era(10) });
        assert_eq!(Growth::after(None, 4096, Era(u32::MAX)).before, Era(u32::MAX));
    }
}
