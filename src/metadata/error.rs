// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be wrong with metadata: always a block, and what is wrong with it.

use thiserror::Error;

use super::block::BLOCK_BYTES;
use crate::blockio::ReadError;
use crate::units::Era;

/// Metadata that cannot be relied on.
#[derive(Debug, Error)]
#[error("metadata block {block}: {problem}")]
pub struct MetadataError {
    /// Number of the 4 KiB block on the metadata device.
    pub block: u64,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a metadata block.
#[derive(Debug, Error)]
pub enum Problem {
    /// The device could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] ReadError),
    /// A pointer leads past the end of the device.
    #[error("lies past the end of the device, which has {0} blocks; is the device truncated?")]
    PastTheEnd(u64),
    /// The checksum is wrong, or right for another kind of block.
    #[error("checksum of {kind} is {stored:#010x}, computed {computed:#010x}")]
    Checksum {
        /// The kind of block expected here.
        kind: &'static str,
        /// What the block says.
        stored: u32,
        /// What it should say.
        computed: u32,
    },
    /// The block says that it belongs elsewhere.
    #[error("says that it is block {0}")]
    Misplaced(u64),
    /// Two pointers lead to one block, or a pointer leads back.
    #[error("is reached twice: a cycle or a shared child")]
    ReachedTwice,
    /// The device holds zeros where the superblock should be.
    #[error("holds zeros: dm-era has not formatted this device yet (it does when a table is first loaded)")]
    Unformatted,
    /// A number is outside what the format allows.
    #[error("{what} is {found}, must be {expected}")]
    Value {
        /// Which number.
        what: &'static str,
        /// What it is.
        found: u64,
        /// What it would have to be.
        expected: String,
    },
    /// Keys of a b-tree node are out of order or outside the node's part of the tree.
    #[error("key {key} is out of order or outside of this node's range, which begins at {least}")]
    KeyOrder {
        /// The key.
        key: u64,
        /// The least key that could stand there.
        least: u64,
    },
    /// No metadata snapshot is held.
    #[error("no metadata snapshot is held; take one with: dmsetup message NAME 0 take_metadata_snap")]
    NoSnapshot,
    /// The snapshot is older than the cursor, though the device is not.
    #[error(
        "the metadata snapshot is of era {snapshot}, older than era {since} that was asked for (the current one is \
         {current}): somebody left it behind; drop it and take a new one with: dmsetup message NAME 0 \
         drop_metadata_snap, then take_metadata_snap"
    )]
    StaleSnapshot {
        /// The first era that the snapshot does not cover.
        snapshot: Era,
        /// The cursor.
        since: Era,
        /// The era in progress on the device.
        current: Era,
    },
    /// The snapshot was dropped or taken anew under us.
    #[error(
        "the metadata snapshot changed while it was read; does another backup use this device? Take it again"
    )]
    SnapshotReplaced,
}

/// The block is the one in which reading failed.
impl From<ReadError> for MetadataError {
    fn from(e: ReadError) -> Self {
        let block = e.offset() / BLOCK_BYTES as u64;
        Problem::from(e).at(block)
    }
}

impl Problem {
    pub(super) fn at(self, block: u64) -> MetadataError {
        MetadataError { block, problem: self }
    }

    pub(super) fn value(what: &'static str, found: impl Into<u64>, expected: impl Into<String>) -> Self {
        Problem::Value { what, found: found.into(), expected: expected.into() }
    }
}
