// SPDX-License-Identifier: GPL-3.0-or-later
//! Arrays (persistent-data/dm-array): a b-tree from 0, 1, 2 ... to blocks full of values.
//!
//! An array block: checksum u32, entries there is room for u32, entries in use u32, bytes in a value u32, own
//! number u64; then the values. All but the last are full. A bitset is an array of u64.

use super::block::{BLOCK_BYTES, Blocks, Kind};
use super::btree;
use super::error::{MetadataError, Problem};

const HEADER_BYTES: usize = 24;
const POINTER_BYTES: usize = 8;

/// Visits the values of an array that must have exactly `len` values of `value_bytes` bytes: `visit` gets the index of
/// the first value of an array block and the bytes of all its values.
pub(super) fn walk(
    blocks: &mut Blocks,
    root: u64,
    value_bytes: usize,
    len: u64,
    visit: &mut dyn FnMut(u64, &[u8]),
) -> Result<(), MetadataError> {
    let room = (BLOCK_BYTES - HEADER_BYTES) / value_bytes;
    let array_blocks = len.div_ceil(room as u64);
    let mut next = 0;
    btree::walk(blocks, root, POINTER_BYTES, array_blocks, &mut |blocks, leaf, index, pointer| {
        if index != next {
            return Err(Problem::value("index of an array block", index, format!("{next}")).at(leaf));
        }
        next += 1;
        let mut number = [0; POINTER_BYTES];
        number.copy_from_slice(pointer);
        let first = index * room as u64;
        let values = (len - first).min(room as u64);
        walk_block(blocks, u64::from_le_bytes(number), value_bytes, values, |bytes| visit(first, bytes))
    })?;
    if next != array_blocks {
        return Err(
            Problem::value("number of array blocks below here", next, format!("{array_blocks}")).at(root)
        );
    }
    Ok(())
}

fn walk_block(
    blocks: &mut Blocks,
    number: u64,
    value_bytes: usize,
    values: u64,
    visit: impl FnOnce(&[u8]),
) -> Result<(), MetadataError> {
    let block = blocks.read(Kind::Array, number)?;
    let room = (BLOCK_BYTES - HEADER_BYTES) / value_bytes;
    let expect = |what, found: u32, expected: u64| match u64::from(found) {
        n if n == expected => Ok(()),
        n => Err(Problem::value(what, n, format!("{expected}")).at(number)),
    };
    expect("bytes in a value", block.u32(12), value_bytes as u64)?;
    expect("room for entries", block.u32(4), room as u64)?;
    expect("number of entries", block.u32(8), values)?;
    let bytes = block.u32(8) as usize * value_bytes;
    visit(block.slice(HEADER_BYTES, bytes));
    Ok(())
}
