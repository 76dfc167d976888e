// SPDX-License-Identifier: GPL-3.0-or-later
//! Numbers the blocks of an image, seals and writes them, and remembers what each one is.

use super::blocks::{BLOCK_SIZE, Block, Kind, put_u64};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

/// What a block is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Superblock,
    SnapshotSuperblock,
    /// The b-tree from eras to archived writesets.
    WritesetTree,
    /// The b-tree of an archived writeset's words, and the blocks that hold them.
    BitsetIndex,
    BitsetWords,
    /// The same of the current era's writeset.
    CurrentIndex,
    CurrentWords,
    /// The b-tree of the era array, and the blocks that hold the eras.
    EraIndex,
    EraValues,
}

impl Part {
    pub fn kind(self) -> Kind {
        match self {
            Part::Superblock | Part::SnapshotSuperblock => Kind::Superblock,
            Part::WritesetTree | Part::BitsetIndex | Part::CurrentIndex | Part::EraIndex => Kind::Node,
            Part::BitsetWords | Part::CurrentWords | Part::EraValues => Kind::Array,
        }
    }
}

/// What each block of an image is, by block number.
#[derive(Clone, Debug)]
pub struct Layout {
    pub parts: Vec<Part>,
}

impl Layout {
    pub fn all(&self, part: Part) -> Vec<u64> {
        (0..).zip(&self.parts).filter(|(_, p)| **p == part).map(|(block, _)| block).collect()
    }

    pub fn first(&self, part: Part) -> u64 {
        self.all(part)[0]
    }

    /// The last block of a part; of a tree that is the root, as trees are written bottom up.
    pub fn last(&self, part: Part) -> u64 {
        *self.all(part).last().expect("the image has such a block")
    }
}

/// Appends blocks to an image.
pub struct BlockWriter<W: Write + Seek> {
    out: BufWriter<W>,
    parts: Vec<Part>,
}

impl<W: Write + Seek> BlockWriter<W> {
    /// Leaves room for the superblock, which is written last.
    pub fn new(out: W) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 20, out);
        out.seek(SeekFrom::Start(BLOCK_SIZE as u64))?;
        Ok(Self { out, parts: vec![Part::Superblock] })
    }

    /// Writes a block, with its number and checksum filled in, and returns the number.
    pub fn append(&mut self, part: Part, block: &mut Block) -> io::Result<u64> {
        let number = self.parts.len() as u64;
        put_u64(block, part.kind().blocknr_field(), number);
        part.kind().seal(block);
        self.out.write_all(&block[..])?;
        self.parts.push(part);
        Ok(number)
    }

    pub fn finish(mut self, superblock: &mut Block) -> io::Result<Layout> {
        Kind::Superblock.seal(superblock);
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&superblock[..])?;
        self.out.flush()?;
        Ok(Layout { parts: self.parts })
    }
}
