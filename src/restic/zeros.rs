// SPDX-License-Identifier: GPL-3.0-or-later
//! Trees of folders that hold nothing but zeros.
//!
//! Their nodes have the same names, sizes and times wherever they are, so there is one tree for each level, and a folder of a
//! terabyte of zeros is one node. What the tree is called can be foretold, as names are hashes of contents: a segment of zeros is
//! two chunks of 512 KiB where chunks have a fixed size, and also where rustic or restic look for where to cut, as in zeros they cut as
//! soon as they may. Whether that was right is seen when the first such folder has been written.

use rustic_core::repofile::{Chunker, ConfigFile, Node, Tree};
use rustic_core::{DataId, Id, TreeId};
use sha2::{Digest, Sha256};

use super::layout::{ENTRIES, LEVELS, SEGMENT_BYTES};
use super::source::{FIXED_TIME, folder_node, segment_node};

/// The trees of whole folders of zeros.
#[derive(Clone, Debug)]
pub struct Zeros {
    /// Of each level but the topmost.
    trees: [TreeId; LEVELS],
    /// Whether the repository has it.
    pub stored: [bool; LEVELS],
}

impl Zeros {
    /// What they are called in a repository.
    pub fn of(config: &ConfigFile) -> Option<Self> {
        let chunk = match config.chunker() {
            Chunker::FixedSize => config.chunk_size(),
            Chunker::Rabin => config.chunk_min_size(),
        } as u64;
        let mut content = Vec::new();
        let mut left = SEGMENT_BYTES;
        while left > 0 && chunk > 0 {
            let len = chunk.min(left);
            content.push(DataId::from(hash_of_zeros(len)?));
            left -= len;
        }
        let mut trees = [TreeId::default(); LEVELS];
        for level in (1..LEVELS).rev() {
            let nodes = (0..ENTRIES).map(|entry| match level + 1 {
                LEVELS => {
                    let mut node = segment_node(level, entry, FIXED_TIME, SEGMENT_BYTES);
                    node.content = Some(content.clone());
                    node
                }
                below => Node { subtree: Some(trees[below]), ..folder_node(level, entry) },
            });
            trees[level] = Tree { nodes: nodes.collect() }.serialize().ok()?.1;
        }
        Some(Self { trees, stored: [false; LEVELS] })
    }

    /// The tree of a folder of a level.
    pub fn tree(&self, level: usize) -> TreeId {
        self.trees[level]
    }

    /// The tree of a folder of a level, if the repository has it.
    pub fn stored_tree(&self, level: usize) -> Option<TreeId> {
        self.stored[level].then_some(self.trees[level])
    }
}

fn hash_of_zeros(len: u64) -> Option<Id> {
    let mut hash = Sha256::new();
    let zeros = [0; 4096];
    let mut left = len;
    while left > 0 {
        let part = left.min(4096);
        hash.update(&zeros[..usize::try_from(part).ok()?]);
        left -= part;
    }
    Some(Id::new(hash.finalize().into()))
}
