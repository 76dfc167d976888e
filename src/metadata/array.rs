// SPDX-License-Identifier: GPL-3.0-or-later
//! Arrays (persistent-data/dm-array): a b-tree from 0, 1, 2 ... to blocks full of values.
//!
//! An array block: checksum u32, entries there is room for u32, entries in use u32, bytes in a value u32, own
//! number u64; then the values. All but the last are full. A bitset is an array of u64.
//!
//! Array blocks are visited in the order of the device, not of their indices. That none is missing follows from
//! their number: a b-tree has no key twice, and all of them are below that number.

use super::block::{BLOCK_BYTES, Block, Blocks, Kind, Wanted};
use super::btree::{self, Tree};
use super::error::{MetadataError, Problem};

const HEADER_BYTES: usize = 24;

/// An array that must have exactly so many values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Array {
    pub(super) root: u64,
    pub(super) len: u64,
}

/// The values that an array block must have.
#[derive(Clone, Copy, Debug)]
struct Share {
    first: u64,
    values: u64,
}

/// Visits the values of arrays, of `value_bytes` bytes each, a block of them at a time: `visit` gets the index of the
/// first one and the bytes of all.
pub(super) fn walk(
    blocks: &mut Blocks,
    arrays: &[Array],
    value_bytes: usize,
    visit: &mut dyn FnMut(u64, &[u8]),
) -> Result<(), MetadataError> {
    let room = ((BLOCK_BYTES - HEADER_BYTES) / value_bytes) as u64;
    let trees: Vec<_> =
        arrays.iter().map(|array| Tree { root: array.root, key_limit: array.len.div_ceil(room) }).collect();
    let mut found = vec![0; trees.len()];
    btree::walk(blocks, &trees, &mut |blocks, entries| {
        let mut wanted: Vec<_> = entries
            .iter()
            .map(|entry| {
                found[entry.tree] += 1;
                let first = entry.key * room;
                let share = Share { first, values: room.min(arrays[entry.tree].len - first) };
                Wanted { number: u64::from_le_bytes(entry.value), context: share }
            })
            .collect();
        drop(entries);
        blocks.read_all(Kind::Array, &mut wanted, |share, block| {
            visit(share.first, values(block, value_bytes, share.values)?);
            Ok(())
        })
    })?;
    for (tree, found) in trees.iter().zip(found) {
        if found != tree.key_limit {
            let expected = format!("{}", tree.key_limit);
            return Err(Problem::value("number of array blocks below here", found, expected).at(tree.root));
        }
    }
    Ok(())
}

/// The bytes of so many values.
fn values(block: Block<'_>, value_bytes: usize, values: u64) -> Result<&[u8], MetadataError> {
    let room = (BLOCK_BYTES - HEADER_BYTES) / value_bytes;
    let expect = |what, found: u32, expected: u64| match u64::from(found) {
        n if n == expected => Ok(()),
        n => Err(Problem::value(what, n, format!("{expected}")).at(block.number)),
    };
    expect("bytes in a value", block.u32(12), value_bytes as u64)?;
    expect("room for entries", block.u32(4), room as u64)?;
    expect("number of entries", block.u32(8), values)?;
    Ok(block.slice(HEADER_BYTES, block.u32(8) as usize * value_bytes))
}
