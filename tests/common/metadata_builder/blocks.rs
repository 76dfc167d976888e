// SPDX-License-Identifier: GPL-3.0-or-later
//! The bytes of single metadata blocks: where the fields are, and the checksums.

pub const BLOCK_SIZE: usize = 4096;
pub type Block = Box<[u8; BLOCK_SIZE]>;

/// The three formats that a block can have. Each checksums with a salt of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Superblock,
    Node,
    Array,
}

pub mod superblock {
    pub const BLOCKNR: usize = 8;
    pub const MAGIC: usize = 32;
    pub const VERSION: usize = 40;
    pub const DATA_BLOCK_SIZE: usize = 172;
    pub const METADATA_BLOCK_SIZE: usize = 176;
    pub const NR_BLOCKS: usize = 180;
    pub const CURRENT_ERA: usize = 184;
    pub const CURRENT_NR_BITS: usize = 188;
    pub const CURRENT_ROOT: usize = 192;
    pub const WRITESET_TREE_ROOT: usize = 200;
    pub const ERA_ARRAY_ROOT: usize = 208;
    pub const METADATA_SNAP: usize = 216;
}

/// A b-tree node: this header, `max_entries` keys, then the values.
pub mod node {
    pub const FLAGS: usize = 4;
    pub const BLOCKNR: usize = 8;
    pub const NR_ENTRIES: usize = 16;
    pub const MAX_ENTRIES: usize = 20;
    pub const VALUE_SIZE: usize = 24;
    pub const KEYS: usize = 32;
    pub const INTERNAL: u32 = 1;
    pub const LEAF: u32 = 2;

    pub fn key(index: u32) -> usize {
        KEYS + 8 * index as usize
    }
}

/// A block of array values.
pub mod array {
    pub const MAX_ENTRIES: usize = 4;
    pub const NR_ENTRIES: usize = 8;
    pub const VALUE_SIZE: usize = 12;
    pub const BLOCKNR: usize = 16;
    pub const VALUES: usize = 24;
}

pub fn empty() -> Block {
    Box::new([0; BLOCK_SIZE])
}

pub fn put_u32(block: &mut Block, at: usize, value: u32) {
    block[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

pub fn put_u64(block: &mut Block, at: usize, value: u64) {
    block[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

pub fn get_u32(block: &Block, at: usize) -> u32 {
    u32::from_le_bytes(block[at..at + 4].try_into().expect("four bytes"))
}

pub fn get_u64(block: &Block, at: usize) -> u64 {
    u64::from_le_bytes(block[at..at + 8].try_into().expect("eight bytes"))
}

impl Kind {
    fn salt(self) -> u32 {
        match self {
            Kind::Superblock => 146_538_381,
            Kind::Node => 121_107,
            Kind::Array => 595_846_735,
        }
    }

    pub fn blocknr_field(self) -> usize {
        match self {
            Kind::Superblock => superblock::BLOCKNR,
            Kind::Node => node::BLOCKNR,
            Kind::Array => array::BLOCKNR,
        }
    }

    /// Makes the checksum right. The kernel's crc32c starts at all ones and is not inverted at the end.
    pub fn seal(self, block: &mut Block) {
        let sum = !crc32c::crc32c(&block[4..]) ^ self.salt();
        put_u32(block, 0, sum);
    }
}
