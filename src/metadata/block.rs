// SPDX-License-Identifier: GPL-3.0-or-later
//! One metadata block, read and checked: it has the checksum of the kind that is expected, it lies where it
//! says, and it is reached once.
//!
//! The record of blocks reached makes cycles and shared children errors and bounds every walk by the number of
//! blocks on the device. It has one bit for each block that the kernel can address, 508 KiB at most.

use super::error::{MetadataError, Problem};
use crate::blockio::{ReadAt, read_exact};
use crate::runs::{BlockSet, Run};
use crate::sys::AlignedBuf;

/// Bytes in a metadata block.
pub(super) const BLOCK_BYTES: usize = 4096;

/// The kernel's metadata space map has at most 255 bitmaps of 16320 blocks (dm-space-map-metadata.h), just below
/// 16 GiB; what lies beyond on a larger device is never used.
const MAX_METADATA_BLOCKS: u64 = 255 * 16320;

/// The kinds of blocks, told apart by a salt in their checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Superblock,
    Node,
    Array,
}

impl Kind {
    fn salt(self) -> u32 {
        match self {
            Kind::Superblock => 146_538_381,
            Kind::Node => 121_107,
            Kind::Array => 595_846_735,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Superblock => "the superblock",
            Kind::Node => "a b-tree node",
            Kind::Array => "an array block",
        }
    }

    /// Where the block's own number stands.
    fn number_at(self) -> usize {
        match self {
            Kind::Superblock | Kind::Node => 8,
            Kind::Array => 16,
        }
    }
}

/// A checked block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) number: u64,
    data: AlignedBuf,
}

impl Block {
    pub(super) fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }

    pub(super) fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }

    pub(super) fn slice(&self, at: usize, len: usize) -> &[u8] {
        &self.data[at..at + len]
    }

    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.data[at..at + N]);
        bytes
    }

    pub(super) fn is_zero(&self) -> bool {
        self.data.iter().all(|&b| b == 0)
    }

    /// Checks what every kind of block has: checksum and location.
    ///
    /// The kernel's CRC-32C is not inverted at its end as the usual one is.
    fn check(&self, kind: Kind) -> Result<(), Problem> {
        let stored = self.u32(0);
        let computed = !crc32c::crc32c(&self.data[4..]) ^ kind.salt();
        if stored != computed {
            return Err(Problem::Checksum { kind: kind.name(), stored, computed });
        }
        match self.u64(kind.number_at()) {
            own if own == self.number => Ok(()),
            other => Err(Problem::Misplaced(other)),
        }
    }
}

/// Reads the blocks of one walk over the metadata.
pub(super) struct Blocks<'a> {
    source: &'a dyn ReadAt,
    count: u64,
    reached: BlockSet,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(source: &'a dyn ReadAt) -> Self {
        let count = (source.size() / BLOCK_BYTES as u64).min(MAX_METADATA_BLOCKS);
        Self { source, count, reached: BlockSet::new(count) }
    }

    /// How many blocks the device has room for.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Reads a block that may be reached only once.
    pub(super) fn read(&mut self, kind: Kind, number: u64) -> Result<Block, MetadataError> {
        let block = self.read_raw(number)?;
        block.check(kind).map_err(|problem| problem.at(number))?;
        if self.reached.contains(number) {
            return Err(Problem::ReachedTwice.at(number));
        }
        self.reached.insert(Run { begin: number, end: number + 1 });
        Ok(block)
    }

    /// Reads and checks the superblock or its clone, however often.
    pub(super) fn read_superblock(&self, number: u64) -> Result<Block, MetadataError> {
        let block = self.read_raw(number)?;
        if block.is_zero() {
            return Err(Problem::Unformatted.at(number));
        }
        block.check(Kind::Superblock).map_err(|problem| problem.at(number))?;
        Ok(block)
    }

    /// Marks a block as reached by other means than [`Blocks::read`].
    pub(super) fn claim(&mut self, number: u64) {
        self.reached.insert(Run { begin: number, end: number + 1 });
    }

    fn read_raw(&self, number: u64) -> Result<Block, MetadataError> {
        if number >= self.count {
            return Err(Problem::PastTheEnd(self.count).at(number));
        }
        let mut data = AlignedBuf::new(BLOCK_BYTES, BLOCK_BYTES.max(self.source.align()));
        read_exact(self.source, &mut data, number * BLOCK_BYTES as u64)
            .map_err(|e| Problem::from(e).at(number))?;
        Ok(Block { number, data })
    }
}
