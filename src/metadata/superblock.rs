// SPDX-License-Identifier: GPL-3.0-or-later
//! The superblock, at block 0, and its clone, which is the metadata snapshot.
//!
//! `current_writeset` of a clone is not held by the snapshot: its blocks may be reused at any time. So a
//! [`Superblock`] that was read as a snapshot does not have it.

use super::block::{BLOCK_BYTES, Block, Blocks};
use super::error::{MetadataError, Problem};
use crate::blockio::ReadAt;
use crate::units::{BlockSize, Era, MAX_BLOCKS, SECTOR_BYTES};

/// Where the live superblock is.
pub(super) const LOCATION: u64 = 0;

const MAGIC: u64 = 2_126_579_579;
const VERSION: u32 = 1;

/// Values in an array block of u32, and so blocks of the data device that one block of the era array covers.
const ERAS_PER_BLOCK: u64 = (BLOCK_BYTES as u64 - 24) / 4;

/// The live superblock is rewritten at any time, and a disk may tear a block into sectors: a few attempts meet
/// a moment when it is whole.
const READ_ATTEMPTS: u32 = 10;

/// A bitset of blocks written in one era.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Writeset {
    pub(super) nr_bits: u32,
    pub(super) root: u64,
}

/// Bytes of a packed writeset: number of bits u32, root u64.
pub(super) const WRITESET_BYTES: usize = 12;

impl Writeset {
    pub(super) fn unpack(bytes: &[u8; WRITESET_BYTES]) -> Self {
        let [nr_bits @ .., _, _, _, _, _, _, _, _] = *bytes;
        let [_, _, _, _, root @ ..] = *bytes;
        Self { nr_bits: u32::from_le_bytes(nr_bits), root: u64::from_le_bytes(root) }
    }
}

/// The contents of a superblock that matter to a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Size of the data device's blocks.
    pub block_size: BlockSize,
    /// Number of blocks on the data device.
    pub nr_blocks: u32,
    /// The era in progress; in a metadata snapshot, the first era that it does not cover.
    pub current_era: Era,
    /// The writeset in progress; none in a snapshot and when the device was suspended last.
    pub(super) current_writeset: Option<Writeset>,
    pub(super) writeset_tree_root: u64,
    pub(super) era_array_root: u64,
    /// Where the metadata snapshot is, if one is held.
    pub(super) metadata_snap: Option<u64>,
}

/// Reads the superblock of metadata that nobody uses.
pub fn superblock(source: &dyn ReadAt) -> Result<Superblock, MetadataError> {
    read_live(&Blocks::new(source))
}

/// Reads the live superblock.
pub(super) fn read_live(blocks: &Blocks) -> Result<Superblock, MetadataError> {
    let mut attempts = 1;
    loop {
        match blocks.read_superblock(LOCATION, |block| unpack(block, blocks.count())) {
            Err(MetadataError { problem: Problem::Checksum { .. }, .. }) if attempts < READ_ATTEMPTS => {
                attempts += 1;
            }
            result => return result,
        }
    }
}

/// The superblock of the metadata snapshot at a place.
pub fn snapshot_at(source: &dyn ReadAt, location: u64) -> Result<Superblock, MetadataError> {
    read_snapshot(&Blocks::new(source), location)
}

/// Reads the metadata snapshot that the live superblock points to.
pub(super) fn read_snapshot(blocks: &Blocks, location: u64) -> Result<Superblock, MetadataError> {
    let mut superblock = blocks.read_superblock(location, |block| unpack(block, blocks.count()))?;
    superblock.current_writeset = None;
    Ok(superblock)
}

fn unpack(block: Block, metadata_blocks: u64) -> Result<Superblock, MetadataError> {
    check(&block, metadata_blocks).map_err(|problem| problem.at(block.number))?;
    let writeset = Writeset::unpack(&block.bytes(188));
    Ok(Superblock {
        block_size: BlockSize::from_sectors(block.u32(172))
            .map_err(|_| Problem::value("data block size", block.u32(172), "above 0").at(block.number))?,
        nr_blocks: block.u32(180),
        current_era: Era(block.u32(184)),
        current_writeset: (writeset.root != 0).then_some(writeset),
        writeset_tree_root: block.u64(200),
        era_array_root: block.u64(208),
        metadata_snap: Some(block.u64(216)).filter(|&at| at != 0),
    })
}

/// Bounds every number before it is used: what passes is safe to allocate for and to multiply.
fn check(block: &Block, metadata_blocks: u64) -> Result<(), Problem> {
    let (magic, version) = (block.u64(32), block.u32(40));
    let (block_size, metadata_block_size, nr_blocks) = (block.u32(172), block.u32(176), block.u32(180));
    if magic != MAGIC {
        return Err(Problem::value("magic number of dm-era", magic, format!("{MAGIC}")));
    }
    if version != VERSION {
        return Err(Problem::value("metadata version", version, format!("{VERSION}")));
    }
    if u64::from(metadata_block_size) != BLOCK_BYTES as u64 / SECTOR_BYTES {
        return Err(Problem::value("metadata block size in sectors", metadata_block_size, "8"));
    }
    if block_size == 0 || block_size % 8 != 0 {
        return Err(Problem::value("data block size in sectors", block_size, "a multiple of 8 above 0"));
    }
    // The kernel learns the size when the device is first activated; until then "all blocks" would be none of them.
    if nr_blocks == 0 {
        let expected = "at least 1: has this device never been activated?";
        return Err(Problem::value("number of data blocks", nr_blocks, expected));
    }
    if u64::from(nr_blocks) >= MAX_BLOCKS {
        return Err(Problem::value("number of data blocks", nr_blocks, format!("below {MAX_BLOCKS}")));
    }
    let holds = metadata_blocks * ERAS_PER_BLOCK;
    if u64::from(nr_blocks) > holds {
        return Err(Problem::value(
            "number of data blocks",
            nr_blocks,
            format!(
                "at most {holds}, which is what a metadata device of {metadata_blocks} blocks has room for"
            ),
        ));
    }
    Ok(())
}
