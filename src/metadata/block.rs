// SPDX-License-Identifier: GPL-3.0-or-later
//! Metadata blocks, read and checked: each has the checksum of the kind that is expected, lies where it says, and is
//! reached once.
//!
//! Whoever walks a tree names many blocks at once. They are read in the order in which they lie on the device,
//! neighbours by one request, so that a walk costs about what reading the same bytes from end to end does.
//!
//! The record of blocks reached makes cycles and shared children errors and bounds every walk by the number of
//! blocks on the device. It has one bit for each block that the kernel can address, 508 KiB at most.

use super::error::{MetadataError, Problem};
use crate::blockio::{ReadAt, read_exact, read_extents};
use crate::runs::{BlockSet, Run};
use crate::sys::AlignedBuf;
use crate::units::Extent;

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
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    pub(super) number: u64,
    data: &'a [u8],
}

impl<'a> Block<'a> {
    pub(super) fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }

    pub(super) fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }

    pub(super) fn slice(&self, at: usize, len: usize) -> &'a [u8] {
        &self.data[at..at + len]
    }

    pub(super) fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.data[at..at + N]);
        bytes
    }

    fn is_zero(&self) -> bool {
        self.data.iter().all(|&b| b == 0)
    }

    /// Checks what every kind of block has: checksum and location.
    ///
    /// The kernel's CRC-32C is not inverted at its end as the usual one is.
    fn check(&self, kind: Kind) -> Result<(), MetadataError> {
        let stored = self.u32(0);
        let computed = !crc32c::crc32c(&self.data[4..]) ^ kind.salt();
        if stored != computed {
            return Err(Problem::Checksum { kind: kind.name(), stored, computed }.at(self.number));
        }
        match self.u64(kind.number_at()) {
            own if own == self.number => Ok(()),
            other => Err(Problem::Misplaced(other).at(self.number)),
        }
    }
}

/// A block to read, and what there is to know of it before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<T> {
    pub(super) number: u64,
    pub(super) context: T,
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

    /// Reads blocks, each of which may be reached only once, and hands them on, checked, in the order in which they
    /// lie on the device.
    pub(super) fn read_all<T: Copy>(
        &mut self,
        kind: Kind,
        wanted: &mut [Wanted<T>],
        mut visit: impl FnMut(T, Block) -> Result<(), MetadataError>,
    ) -> Result<(), MetadataError> {
        wanted.sort_unstable_by_key(|wanted| wanted.number);
        for one in &*wanted {
            self.check_number(one.number)?;
            if self.reached.contains(one.number) {
                return Err(Problem::ReachedTwice.at(one.number));
            }
            self.claim(one.number);
        }
        let mut coming = wanted.iter();
        let mut cut = Cut::default();
        read_extents(self.source, extents(wanted), |piece| {
            cut.push(piece.bytes, |data| {
                let one = coming.next().expect("no more is read than was asked for");
                let block = Block { number: one.number, data };
                block.check(kind)?;
                visit(one.context, block)
            })
        })?;
        assert_eq!(coming.len(), 0, "all that was asked for is read");
        Ok(())
    }

    /// Reads and checks the superblock or its clone, however often.
    pub(super) fn read_superblock<T>(
        &self,
        number: u64,
        unpack: impl FnOnce(Block) -> Result<T, MetadataError>,
    ) -> Result<T, MetadataError> {
        self.check_number(number)?;
        let mut data = AlignedBuf::new(BLOCK_BYTES, BLOCK_BYTES.max(self.source.align()));
        read_exact(self.source, &mut data, number * BLOCK_BYTES as u64)
            .map_err(|e| Problem::from(e).at(number))?;
        let block = Block { number, data: &data };
        if block.is_zero() {
            return Err(Problem::Unformatted.at(number));
        }
        block.check(Kind::Superblock)?;
        unpack(block)
    }

    /// Marks a block as reached.
    pub(super) fn claim(&mut self, number: u64) {
        self.reached.insert(Run { begin: number, end: number + 1 });
    }

    fn check_number(&self, number: u64) -> Result<(), MetadataError> {
        if number < self.count { Ok(()) } else { Err(Problem::PastTheEnd(self.count).at(number)) }
    }
}

/// Where sorted blocks lie, neighbours together.
fn extents<T>(sorted: &[Wanted<T>]) -> impl Iterator<Item = Extent> {
    let runs = sorted.chunk_by(|one, next| one.number + 1 == next.number);
    runs.map(|run| Extent {
        offset: run[0].number * BLOCK_BYTES as u64,
        len: (run.len() * BLOCK_BYTES) as u64,
    })
}

/// Cuts pieces into blocks. A block may be spread over several pieces: what reads them knows nothing of blocks.
#[derive(Default)]
struct Cut {
    begun: Vec<u8>,
}

impl Cut {
    fn push<E>(&mut self, mut bytes: &[u8], mut block: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if !self.begun.is_empty() {
            let (head, rest) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.begun.len()));
            self.begun.extend_from_slice(head);
            bytes = rest;
            if self.begun.len() == BLOCK_BYTES {
                block(&self.begun)?;
                self.begun.clear();
            }
        }
        let (whole, rest) = bytes.as_chunks::<BLOCK_BYTES>();
        for data in whole {
            block(data)?;
        }
        self.begun.extend_from_slice(rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted(numbers: &[u64]) -> Vec<Wanted<()>> {
        numbers.iter().map(|&number| Wanted { number, context: () }).collect()
    }

    #[test]
    fn neighbours_are_read_together() {
        let extents: Vec<_> = extents(&wanted(&[1, 2, 3, 5, 7, 8])).map(|e| (e.offset, e.len)).collect();
        assert_eq!(extents, [(4096, 3 * 4096), (5 * 4096, 4096), (7 * 4096, 2 * 4096)]);
    }

    proptest! {
        #[test]
        fn blocks_come_whole_however_the_pieces_are_cut(lens in prop::collection::vec(1..10_000usize, 1..12)) {
            let bytes: Vec<u8> = (0..lens.iter().sum()).map(|i: usize| (i / 3 % 251) as u8).collect();
            let (mut cut, mut at, mut seen) = (Cut::default(), 0, Vec::new());
            for len in lens {
                cut.push(&bytes[at..at + len], |block| {
                    seen.push(block.to_vec());
                    Ok::<_, ()>(())
                }).unwrap();
                at += len;
            }
            prop_assert_eq!(seen, bytes.as_chunks::<BLOCK_BYTES>().0.iter().map(|b| b.to_vec()).collect::<Vec<_>>());
        }
    }
}
