// SPDX-License-Identifier: GPL-3.0-or-later
//! Units as types, so that sectors, bytes, blocks and eras cannot be mistaken for one another.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::runs::Run;

/// Bytes in a sector, the unit of device-mapper tables whatever the disk's own sector size.
pub const SECTOR_BYTES: u64 = 512;

/// dm-era numbers its blocks with 31 bits: a device has fewer blocks than this.
pub const MAX_BLOCKS: u64 = 1 << 31;

/// The largest unit that hashes are of: what a process has in memory of it, several times.
pub const MAX_UNIT_BYTES: u64 = 4 << 20;

/// The number of one era; it grows by one at every checkpoint, metadata snapshot and resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct Era(pub u32);

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Era {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Era)
    }
}

/// A range of bytes on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

impl Extent {
    /// The byte after the last one.
    ///
    /// Extents are made from checked ends only, so this does not overflow.
    pub fn end(&self) -> u64 {
        self.offset + self.len
    }
}

/// The size of dm-era's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSize {
    bytes: u64,
}

/// A block size that cannot be worked with.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "block size is given in sectors of 512 bytes, from 1 to {}; dm-era itself takes multiples of 8",
    u32::MAX
)]
pub struct BadBlockSize;

impl BlockSize {
    /// A block of this many 512-byte sectors, from 1 to 2^32 - 1.
    ///
    /// dm-era takes multiples of 8 only; the classic tools take any number.
    pub fn from_sectors(sectors: u32) -> Result<Self, BadBlockSize> {
        match sectors {
            0 => Err(BadBlockSize),
            n => Ok(Self { bytes: u64::from(n) * SECTOR_BYTES }),
        }
    }

    /// Bytes in a block, from 512 to just below 2 TiB.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of the block that holds a byte.
    pub fn block_of(&self, offset: u64) -> u64 {
        offset / self.bytes
    }

    /// The bytes of a run of blocks, cut off at the device's size; `None` where nothing is left.
    ///
    /// Blocks are below [`MAX_BLOCKS`] and block sizes below 2^41, so the end may pass 2^64: it saturates.
    pub fn extent(&self, run: Run, device_size: u64) -> Option<Extent> {
        let offset = run.begin.checked_mul(self.bytes)?;
        let end = run.end.saturating_mul(self.bytes).min(device_size);
        (offset < end).then(|| Extent { offset, len: end - offset })
    }
}

impl FromStr for BlockSize {
    type Err = BadBlockSize;

    fn from_str(text: &str) -> Result<Self, BadBlockSize> {
        Self::from_sectors(text.parse().map_err(|_| BadBlockSize)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sectors(n: u32) -> BlockSize {
        BlockSize::from_sectors(n).unwrap()
    }

    #[test]
    fn extents_are_cut_at_the_device() {
        let run = |begin, end| Run { begin, end };
        let size = 10_000;
        assert_eq!(sectors(8).extent(run(0, 1), size), Some(Extent { offset: 0, len: 4096 }));
        assert_eq!(sectors(8).extent(run(1, 3), size), Some(Extent { offset: 4096, len: 10_000 - 4096 }));
        assert_eq!(sectors(8).extent(run(3, 9), size), None);
        assert_eq!(sectors(8).extent(run(3, 3), size), None);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let largest = sectors(u32::MAX);
        let run = |begin, end| Run { begin, end };
        assert_eq!(largest.extent(run(MAX_BLOCKS - 1, MAX_BLOCKS), i64::MAX as u64), None);
        assert_eq!(largest.extent(run(1, MAX_BLOCKS), u64::MAX).unwrap().end(), u64::MAX);
    }

    #[test]
    fn block_sizes_parse_as_the_classic_tools_take_them() {
        assert_eq!("1024".parse::<BlockSize>().unwrap().bytes(), 524_288);
        assert_eq!("1".parse::<BlockSize>().unwrap().bytes(), 512);
        for bad in ["0", "-8", "", "8x", "4294967296"] {
            assert!(bad.parse::<BlockSize>().is_err(), "{bad:?}");
        }
    }
}
