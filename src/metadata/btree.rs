// SPDX-License-Identifier: GPL-3.0-or-later
//! The kernel's b-trees (persistent-data/dm-btree), walked level by level, several trees at once.
//!
//! A node: checksum u32, flags u32 (1 internal, 2 leaf), own number u64, entries in use u32, entries there is room
//! for u32, bytes in a value u32, padding u32; then room for that many u64 keys; then the values, which in an internal
//! node are the numbers of the children. A child's keys lie between its own key in the parent and the next, so that
//! no key is met twice, whatever the order of the walk.
//!
//! The order is that of the device: a walk in key order could read no node before its parent's left neighbours
//! are done, one request at a time. Some nodes are read at once, then all their children, and so on, depth first
//! in groups, so that what has to be remembered is bounded: at each level the children of one group of nodes.

use std::ops::Range;

use super::block::{BLOCK_BYTES, Block, Blocks, Kind, Wanted};
use super::error::{MetadataError, Problem};

const HEADER_BYTES: usize = 32;
const KEY_BYTES: usize = 8;
const CHILD_BYTES: usize = 8;

/// The kernel keeps nodes at least a third full, so a tree of 2^32 leaves has fewer than 7 levels.
const MAX_DEPTH: u32 = 12;

/// Twice what a device is asked for at once; the children of so many nodes take half a megabyte.
const NODES_AT_ONCE: usize = 64;

/// A tree to walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree {
    pub(super) root: u64,
    /// All keys are below this.
    pub(super) key_limit: u64,
}

/// A key with its value, and which of the trees it is from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<const N: usize> {
    pub(super) tree: usize,
    pub(super) key: u64,
    pub(super) value: [u8; N],
}

/// Is called with some entries at a time, in no order. Gets the blocks too, to follow what the values point to.
type Take<'a, const N: usize> = dyn FnMut(&mut Blocks, Vec<Entry<N>>) -> Result<(), MetadataError> + 'a;

/// What is known of a node before it is read.
#[derive(Clone, Copy, Debug)]
struct Place {
    tree: usize,
    least: u64,
    limit: u64,
}

/// Visits the entries of b-trees whose values have N bytes.
pub(super) fn walk<const N: usize>(
    blocks: &mut Blocks,
    trees: &[Tree],
    take: &mut Take<N>,
) -> Result<(), MetadataError> {
    let root = |(tree, of): (usize, &Tree)| Wanted {
        number: of.root,
        context: Place { tree, least: 0, limit: of.key_limit },
    };
    walk_level(blocks, trees.iter().enumerate().map(root).collect(), 0, take)
}

fn walk_level<const N: usize>(
    blocks: &mut Blocks,
    mut level: Vec<Wanted<Place>>,
    depth: u32,
    take: &mut Take<N>,
) -> Result<(), MetadataError> {
    level.sort_unstable_by_key(|node| node.number);
    for group in level.chunks_mut(NODES_AT_ONCE) {
        let (mut children, mut entries) = (Vec::new(), Vec::new());
        blocks.read_all(Kind::Node, group, |place, block| {
            let node = Node::check(block, N, &place, depth)?;
            if node.leaf {
                entries.extend(node.values().map(|(key, value)| Entry { tree: place.tree, key, value }));
            } else {
                children.extend(node.children(place));
            }
            Ok(())
        })?;
        if !entries.is_empty() {
            take(blocks, entries)?;
        }
        if let Some(child) = children.first() {
            if depth + 1 >= MAX_DEPTH {
                let problem = Problem::value("depth of the b-tree", depth + 1, format!("below {MAX_DEPTH}"));
                return Err(problem.at(child.number));
            }
            walk_level(blocks, children, depth + 1, take)?;
        }
    }
    Ok(())
}

/// One node, its counts and keys checked.
struct Node<'a> {
    block: Block<'a>,
    leaf: bool,
    entries: usize,
    room: usize,
    value_bytes: usize,
}

impl<'a> Node<'a> {
    fn check(
        block: Block<'a>,
        leaf_value_bytes: usize,
        place: &Place,
        depth: u32,
    ) -> Result<Self, MetadataError> {
        let number = block.number;
        let (flags, entries, room, value_bytes) = (block.u32(4), block.u32(16), block.u32(20), block.u32(24));
        let leaf = match flags {
            1 => false,
            2 => true,
            _ => {
                return Err(Problem::value("flags of the node", flags, "1 (internal) or 2 (leaf)").at(number));
            }
        };
        let expected = if leaf { leaf_value_bytes } else { CHILD_BYTES };
        if value_bytes as usize != expected {
            return Err(Problem::value("bytes in a value", value_bytes, format!("{expected}")).at(number));
        }
        let most = (BLOCK_BYTES - HEADER_BYTES) / (KEY_BYTES + expected);
        if room as usize > most {
            return Err(Problem::value("room for entries", room, format!("at most {most}")).at(number));
        }
        if entries > room {
            return Err(Problem::value("number of entries", entries, format!("at most {room}")).at(number));
        }
        // Only the root of an empty tree may be empty: elsewhere it would be entries that are missing.
        if entries == 0 && !(depth == 0 && leaf) {
            return Err(Problem::value("number of entries", 0u64, "at least 1").at(number));
        }
        let node =
            Self { block, leaf, entries: entries as usize, room: room as usize, value_bytes: expected };
        node.check_keys(place.least..place.limit)?;
        Ok(node)
    }

    fn key(&self, i: usize) -> u64 {
        self.block.u64(HEADER_BYTES + i * KEY_BYTES)
    }

    fn value<const N: usize>(&self, i: usize) -> [u8; N] {
        self.block.bytes(HEADER_BYTES + self.room * KEY_BYTES + i * self.value_bytes)
    }

    fn values<const N: usize>(&self) -> impl Iterator<Item = (u64, [u8; N])> {
        (0..self.entries).map(|i| (self.key(i), self.value(i)))
    }

    /// The children of an internal node, each with the keys that may be there.
    fn children(&self, place: Place) -> impl Iterator<Item = Wanted<Place>> {
        let limit = move |i| if i + 1 < self.entries { self.key(i + 1) } else { place.limit };
        (0..self.entries).map(move |i| Wanted {
            number: u64::from_le_bytes(self.value(i)),
            context: Place { tree: place.tree, least: self.key(i), limit: limit(i) },
        })
    }

    /// Keys ascend strictly and lie within what the parent leaves to this node.
    fn check_keys(&self, range: Range<u64>) -> Result<(), MetadataError> {
        let mut least = range.start;
        for i in 0..self.entries {
            let key = self.key(i);
            if key < least || key >= range.end {
                return Err(Problem::KeyOrder { key, least }.at(self.block.number));
            }
            least = key + 1;
        }
        Ok(())
    }
}
