// SPDX-License-Identifier: GPL-3.0-or-later
//! How a metadata device is divided up, and how large dm-era's part of it must be. All of it without I/O.
//!
//! The metadata device holds our header, then dm-era's metadata, then the snapshots' copy-on-write space. When
//! dm-era's part is full, every write that needs a new mark fails, so it is made for the worst moment. What takes
//! space (`dm-era-target.c`, `persistent-data/dm-array.c`, `dm-space-map-metadata.c` of Linux):
//!
//! - The era array, three times: as a metadata snapshot holds it, as it was last committed, and as the digestion is
//!   making it. Blocks are copied on write, and what a transaction frees is free only when it has ended.
//! - Writesets, complete from the moment their era begins: that of the current era and its copy of the last commit, that
//!   of the next era, and those not digested yet. The last are [`ARCHIVED_WRITESETS`]: a writeset is digested in
//!   seconds, but a backup closes several eras in a row and a metadata snapshot holds what it has seen.
//! - The map of which metadata blocks are in use, once more while it is copied, and the superblock with its clone.
//!
//! `tests/kernel/scenarios/metadata-size.sh` compares this with what a kernel uses.

use bytesize::ByteSize;
use thiserror::Error;

use crate::units::{BlockSize, Extent, MAX_BLOCKS, SECTOR_BYTES};

/// What our header takes at the start of a metadata device. Regions begin at multiples of this, too, so that they are
/// aligned to whatever the disk has inside.
pub const HEADER_BYTES: u64 = 1 << 20;

/// Bytes in one of dm-era's metadata blocks.
pub const METADATA_BLOCK_BYTES: u64 = 4096;

/// The least copy-on-write space that is worth having: less overflows before a snapshot is read.
pub const MIN_COW_BYTES: u64 = 4 << 20;

/// Room for this many writesets that wait for their digestion or are held by a metadata snapshot.
pub const ARCHIVED_WRITESETS: u64 = 16;

/// The kernel's space map for metadata has at most 255 bitmaps of 16320 blocks (dm-space-map-metadata.h); of that, whole MiB.
const MAX_METADATA_BLOCKS: u64 = 255 * BLOCKS_PER_BITMAP / 256 * 256;
const BLOCKS_PER_BITMAP: u64 = 16_320;

/// An array block has a head of 24 bytes, then u32 eras or the u64 words of a bitset.
const ERAS_PER_BLOCK: u64 = (METADATA_BLOCK_BYTES - 24) / 4;
const BITS_PER_BLOCK: u64 = (METADATA_BLOCK_BYTES - 24) / 8 * 64;

/// A b-tree node has room for 252 pointers; nodes that are filled in ascending order are split when full and stay
/// half full.
const POINTERS_PER_NODE: u64 = 126;

/// What a change of one entry copies of a tree: a node on each level, one more where one is split.
const PATH_BLOCKS: u64 = 5;

/// Largest block size that dm-era's table line can name, rounded down to the 4 KiB that it demands.
const MAX_BLOCK_BYTES: u64 = (u32::MAX as u64 - 7) * SECTOR_BYTES;

/// Where the parts of a metadata device are, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// dm-era's metadata.
    pub metadata: Extent,
    /// Copy-on-write space for snapshots; without it there are none.
    pub cow: Option<Extent>,
}

/// A block size that dm-era refuses.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "a block size of {given} bytes is not possible: dm-era takes multiples of 4096 up to {MAX_BLOCK_BYTES}"
)]
pub struct BadBlockSize {
    /// What was asked for, in bytes.
    pub given: u64,
}

/// A data device that cannot be tracked with this block size.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BadBlockCount {
    /// There is nothing to track.
    #[error("the device has no bytes")]
    Empty,
    /// More blocks than dm-era can number or than the largest metadata have room for.
    #[error(
        "{blocks} blocks of {} are too many: dm-era's metadata have room for {limit}; {}",
        ByteSize(*.block_bytes),
        .would_do.map_or("no block size would do".into(), |b| format!("use blocks of {} or more", ByteSize(b)))
    )]
    TooMany {
        /// How many blocks the device has.
        blocks: u64,
        /// The size of each.
        block_bytes: u64,
        /// How many there may be.
        limit: u64,
        /// The smallest power of two, in bytes, that is large enough as a block size.
        would_do: Option<u64>,
    },
}

/// A metadata device on which the parts find no room.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the metadata device is too small: {} are needed, it has {}", ByteSize(*.needed), ByteSize(*.has))]
pub struct TooSmall {
    /// What would be enough, in bytes.
    pub needed: u64,
    /// What the device has, in bytes.
    pub has: u64,
}

/// Checks a block size given in bytes.
pub fn check_block_size(given: u64) -> Result<BlockSize, BadBlockSize> {
    let bad = BadBlockSize { given };
    if given > MAX_BLOCK_BYTES || !given.is_multiple_of(METADATA_BLOCK_BYTES) {
        return Err(bad);
    }
    let sectors = u32::try_from(given / SECTOR_BYTES).map_err(|_| bad)?;
    BlockSize::from_sectors(sectors).map_err(|_| bad)
}

/// The number of blocks of a data device, if dm-era can track that many.
pub fn count_blocks(data_bytes: u64, block_size: BlockSize) -> Result<u64, BadBlockCount> {
    let blocks = data_bytes.div_ceil(block_size.bytes());
    let limit = max_blocks();
    match blocks {
        0 => Err(BadBlockCount::Empty),
        n if n <= limit => Ok(n),
        _ => {
            let least = data_bytes.div_ceil(limit).max(METADATA_BLOCK_BYTES);
            let would_do = least.checked_next_power_of_two().filter(|&bytes| bytes <= MAX_BLOCK_BYTES);
            Err(BadBlockCount::TooMany { blocks, block_bytes: block_size.bytes(), limit, would_do })
        }
    }
}

/// The greatest number of blocks that dm-era can number and whose metadata fit into the largest it can address.
pub fn max_blocks() -> u64 {
    let (mut fits, mut too_many) = (1, MAX_BLOCKS);
    while too_many - fits > 1 {
        let middle = fits.midpoint(too_many);
        if metadata_blocks_needed(middle) <= MAX_METADATA_BLOCKS { fits = middle } else { too_many = middle }
    }
    fits
}

/// How many metadata blocks dm-era may need at its worst moment for this many blocks of data.
///
/// # Panics
/// Never for fewer than 2^31 blocks, which is what callers have checked.
pub fn metadata_blocks_needed(nr_blocks: u64) -> u64 {
    let era_array = array_blocks(nr_blocks, ERAS_PER_BLOCK);
    let writeset = array_blocks(nr_blocks, BITS_PER_BLOCK);
    // Each of up to three versions of the tree of writesets is a single node; the superblock and its clone.
    let single = 3 + 2;
    let used = 3 * era_array + (3 + ARCHIVED_WRITESETS) * writeset + single;
    // Bitmaps and their index, and a copy. Few blocks have more than two users: the tree that counts those is small.
    let space_map = 2 * (used.div_ceil(BLOCKS_PER_BITMAP) + 1) + 6;
    let slack = used / 16 + 32;
    used + space_map + slack
}

/// How many of `total` metadata blocks must be free so that an era can end and the next one begin whatever is under way,
/// for this many blocks of data: the writeset of the one, as it was and as it is archived, that of the other; the era
/// array once more, as a digestion may be at work; a path in each of the trees; the space map, twice.
pub fn rollover_blocks_needed(nr_blocks: u64, total: u64) -> u64 {
    let era_array = array_blocks(nr_blocks, ERAS_PER_BLOCK);
    let writeset = array_blocks(nr_blocks, BITS_PER_BLOCK);
    let space_map = 2 * (total.div_ceil(BLOCKS_PER_BITMAP) + 1);
    era_array + 3 * writeset + 2 * PATH_BLOCKS + space_map
}

/// [`metadata_blocks_needed`] in bytes, a multiple of 1 MiB.
pub fn metadata_bytes_needed(nr_blocks: u64) -> u64 {
    (metadata_blocks_needed(nr_blocks) * METADATA_BLOCK_BYTES).next_multiple_of(HEADER_BYTES)
}

/// Blocks of an array of so many values, those of its tree included, which is never empty.
fn array_blocks(values: u64, values_per_block: u64) -> u64 {
    let mut level = values.div_ceil(values_per_block);
    let mut total = level;
    loop {
        level = level.div_ceil(POINTERS_PER_NODE).max(1);
        total += level;
        if level == 1 {
            return total;
        }
    }
}

/// Divides up a metadata device for this many blocks of data.
///
/// `cow_bytes` is what the copy-on-write space is to have, rounded up to 1 MiB; dm-era gets the rest. Without it, dm-era gets
/// room for a data device that grows to twice its size where that takes no more than a quarter of the device, else what
/// it needs now, and the copy-on-write space gets the rest. With 0 there are no snapshots.
pub fn layout(device_bytes: u64, nr_blocks: u64, cow_bytes: Option<u64>) -> Result<Layout, TooSmall> {
    let needed = metadata_bytes_needed(nr_blocks);
    let least_cow = match cow_bytes {
        None => MIN_COW_BYTES,
        Some(bytes) => bytes.checked_next_multiple_of(HEADER_BYTES).unwrap_or(u64::MAX),
    };
    let all = HEADER_BYTES.saturating_add(needed).saturating_add(least_cow);
    let end = device_bytes / HEADER_BYTES * HEADER_BYTES;
    if all > end {
        return Err(TooSmall { needed: all, has: device_bytes });
    }
    let largest = MAX_METADATA_BLOCKS * METADATA_BLOCK_BYTES;
    let metadata = match cow_bytes {
        None => {
            let twice = metadata_bytes_needed((2 * nr_blocks).min(max_blocks()));
            if twice > needed && twice <= end / 4 { twice } else { needed }
        }
        Some(_) => (end - HEADER_BYTES - least_cow).min(largest).max(needed),
    };
    let cow_begin = HEADER_BYTES + metadata;
    let cow = match cow_bytes {
        Some(0) => None,
        Some(_) => Some(Extent { offset: cow_begin, len: least_cow }),
        None => Some(Extent { offset: cow_begin, len: end - cow_begin }),
    };
    Ok(Layout { metadata: Extent { offset: HEADER_BYTES, len: metadata }, cow })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn block_sizes_are_multiples_of_4_kib() {
        assert_eq!(check_block_size(512 << 10).unwrap().bytes(), 512 << 10);
        assert_eq!(check_block_size(12 << 10).unwrap().bytes(), 12 << 10);
        assert!(check_block_size(MAX_BLOCK_BYTES).is_ok());
        for bad in [0, 512, 4095, 6144, MAX_BLOCK_BYTES + 4096, u64::MAX] {
            assert_eq!(check_block_size(bad), Err(BadBlockSize { given: bad }));
        }
    }

    #[test]
    fn too_many_blocks_are_refused_with_a_block_size_that_would_do() {
        let block_size = check_block_size(4096).unwrap();
        assert_eq!(count_blocks(0, block_size), Err(BadBlockCount::Empty));
        assert_eq!(count_blocks(1, block_size), Ok(1));
        assert_eq!(count_blocks(4097, block_size), Ok(2));
        let refused = count_blocks(100 << 40, block_size).unwrap_err();
        let BadBlockCount::TooMany { blocks, limit, would_do: Some(would_do), .. } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(blocks, (100 << 40) / 4096);
        assert!(limit < MAX_BLOCKS);
        assert!(count_blocks(100 << 40, check_block_size(would_do).unwrap()).is_ok());
        assert!(count_blocks(100 << 40, check_block_size(would_do / 2).unwrap()).is_err());
        assert!(refused.to_string().contains("use blocks of 128.0 KiB or more"), "{refused}");
    }

    #[test]
    fn the_largest_number_of_blocks_is_what_the_largest_metadata_hold() {
        let max = max_blocks();
        assert!(metadata_blocks_needed(max) <= MAX_METADATA_BLOCKS);
        assert!(metadata_blocks_needed(max + 1) > MAX_METADATA_BLOCKS);
        assert!(max > 1 << 30, "{max}");
    }

    /// The table is what a kernel is asked about in `tests/kernel/scenarios/metadata-size.sh`.
    #[test]
    fn the_table_for_the_kernel_test_is_what_is_computed() {
        let table = include_str!("../../tests/data/metadata-sizes");
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            let (blocks, needed) = line.split_once(' ').unwrap();
            let computed = metadata_blocks_needed(blocks.parse().unwrap());
            assert_eq!(needed, computed.to_string(), "{blocks} blocks");
        }
    }

    #[test]
    fn a_gibibyte_is_enough_for_a_tebibyte_in_small_blocks_and_leaves_room_for_snapshots() {
        let layout = layout(1 << 30, (1 << 40) / (64 << 10), None).unwrap();
        assert_eq!(layout.metadata.offset, MIB);
        assert!(layout.cow.unwrap().len > 512 * MIB, "{layout:?}");
    }

    #[test]
    fn the_copy_on_write_space_is_what_was_asked_for() {
        let blocks = 1000;
        let part = |offset, len| Extent { offset: offset * MIB, len: len * MIB };
        let small = metadata_bytes_needed(blocks) / MIB;
        assert_eq!(small, 1);
        let cases = [
            (32, None, part(1, 1), Some(part(2, 30))),
            (32, Some(0), part(1, 31), None),
            (32, Some(10 * MIB - 5), part(1, 21), Some(part(22, 10))),
            (6, None, part(1, 1), Some(part(2, 4))),
            (2, Some(0), part(1, 1), None),
        ];
        for (device, cow_bytes, metadata, cow) in cases {
            assert_eq!(layout(device * MIB + 4096, blocks, cow_bytes), Ok(Layout { metadata, cow }));
        }
        assert_eq!(layout(6 * MIB - 1, blocks, None), Err(TooSmall { needed: 6 * MIB, has: 6 * MIB - 1 }));
        assert_eq!(layout(0, blocks, Some(0)), Err(TooSmall { needed: 2 * MIB, has: 0 }));
        assert!(layout(u64::MAX, blocks, Some(u64::MAX)).is_err());
    }

    proptest! {
        #[test]
        fn parts_are_aligned_disjoint_and_enough(
            device in 0u64..1 << 40,
            nr_blocks in 1u64..1 << 30,
            cow in prop::option::of(0u64..1 << 40),
        ) {
            let nr_blocks = nr_blocks.min(max_blocks());
            match layout(device, nr_blocks, cow) {
                Ok(Layout { metadata, cow: space }) => {
                    prop_assert!(metadata.len >= metadata_bytes_needed(nr_blocks));
                    prop_assert!(metadata.len / METADATA_BLOCK_BYTES <= MAX_METADATA_BLOCKS);
                    prop_assert_eq!(metadata.offset, HEADER_BYTES);
                    prop_assert_eq!(metadata.len % MIB, 0);
                    prop_assert!(metadata.end() <= device);
                    prop_assert_eq!(space.is_none(), cow == Some(0));
                    if let Some(space) = space {
                        prop_assert_eq!((space.offset % MIB, space.len % MIB), (0, 0));
                        prop_assert!(space.offset >= metadata.end() && space.end() <= device);
                        prop_assert!(space.len >= cow.unwrap_or(MIN_COW_BYTES));
                    }
                }
                Err(refused) => {
                    prop_assert!(refused.has < refused.needed);
                    prop_assert!(layout(refused.needed, nr_blocks, cow).is_ok());
                }
            }
        }

        #[test]
        fn metadata_that_are_large_enough_have_room_for_the_next_era(nr_blocks in 1u64..MAX_BLOCKS - 1) {
            let total = metadata_blocks_needed(nr_blocks);
            // As it is when nothing is under way: the era array, a few writesets.
            let used = array_blocks(nr_blocks, ERAS_PER_BLOCK) + 8 * array_blocks(nr_blocks, BITS_PER_BLOCK)
                + total.div_ceil(BLOCKS_PER_BITMAP) + 8;
            prop_assert!(total - used >= rollover_blocks_needed(nr_blocks, total));
        }

        #[test]
        fn more_blocks_never_need_less(nr_blocks in 1u64..MAX_BLOCKS - 1) {
            prop_assert!(metadata_blocks_needed(nr_blocks) <= metadata_blocks_needed(nr_blocks + 1));
        }
    }
}
