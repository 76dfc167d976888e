// SPDX-License-Identifier: GPL-3.0-or-later
//! The kernel's b-trees (persistent-data/dm-btree), walked in key order.
//!
//! A node: checksum u32, flags u32 (1 internal, 2 leaf), own number u64, entries in use u32, entries there is room
//! for u32, bytes in a value u32, padding u32; then room for that many u64 keys; then the values, which in an internal
//! node are the numbers of the children. A child's keys lie between its own key in the parent and the next.

use std::ops::Range;

use super::block::{BLOCK_BYTES, Block, Blocks, Kind};
use super::error::{MetadataError, Problem};

const HEADER_BYTES: usize = 32;
const KEY_BYTES: usize = 8;
const CHILD_BYTES: usize = 8;

/// The kernel keeps nodes at least a third full, so a tree of 2^32 leaves has fewer than 7 levels.
const MAX_DEPTH: u32 = 12;

/// One node, its counts checked.
struct Node {
    block: Block,
    leaf: bool,
    entries: usize,
    room: usize,
    value_bytes: usize,
}

impl Node {
    fn read(blocks: &mut Blocks, number: u64, leaf_value_bytes: usize) -> Result<Self, MetadataError> {
        let block = blocks.read(Kind::Node, number)?;
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
        Ok(Self { block, leaf, entries: entries as usize, room: room as usize, value_bytes: expected })
    }

    fn key(&self, i: usize) -> u64 {
        self.block.u64(HEADER_BYTES + i * KEY_BYTES)
    }

    fn value(&self, i: usize) -> &[u8] {
        self.block.slice(self.value_at(i), self.value_bytes)
    }

    fn child(&self, i: usize) -> u64 {
        self.block.u64(self.value_at(i))
    }

    fn value_at(&self, i: usize) -> usize {
        HEADER_BYTES + self.room * KEY_BYTES + i * self.value_bytes
    }

    /// Keys ascend strictly and lie within what the parent leaves to this node.
    fn check_keys(&self, range: &Range<u64>) -> Result<(), MetadataError> {
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

/// Is called with each key and value. Gets the blocks too, to follow what the value points to, and the number of the
/// leaf, to name in errors: `(blocks, leaf, key, value)`.
type Visit<'a> = dyn FnMut(&mut Blocks, u64, u64, &[u8]) -> Result<(), MetadataError> + 'a;

/// Visits the entries of a b-tree whose values have `value_bytes` bytes and whose keys are below `key_limit`.
pub(super) fn walk(
    blocks: &mut Blocks,
    root: u64,
    value_bytes: usize,
    key_limit: u64,
    visit: &mut Visit,
) -> Result<(), MetadataError> {
    walk_node(blocks, root, value_bytes, 0..key_limit, 0, visit)
}

fn walk_node(
    blocks: &mut Blocks,
    number: u64,
    value_bytes: usize,
    range: Range<u64>,
    depth: u32,
    visit: &mut Visit,
) -> Result<(), MetadataError> {
    if depth >= MAX_DEPTH {
        return Err(Problem::value("depth of the b-tree", depth, format!("below {MAX_DEPTH}")).at(number));
    }
    let node = Node::read(blocks, number, value_bytes)?;
    // Only the root of an empty tree may be empty: elsewhere it would be entries that are missing.
    if node.entries == 0 && !(depth == 0 && node.leaf) {
        return Err(Problem::value("number of entries", 0u64, "at least 1").at(number));
    }
    node.check_keys(&range)?;
    for i in 0..node.entries {
        if node.leaf {
            visit(blocks, number, node.key(i), node.value(i))?;
        } else {
            let end = if i + 1 < node.entries { node.key(i + 1) } else { range.end };
            walk_node(blocks, node.child(i), value_bytes, node.key(i)..end, depth + 1, visit)?;
        }
    }
    Ok(())
}
