// SPDX-License-Identifier: GPL-3.0-or-later
//! The structures made of several blocks: b-trees, arrays (a b-tree to blocks of values), bitsets (an array of
//! 64-bit words). Each is written bottom up and known by its root.

use super::blocks::{BLOCK_SIZE, array, empty, node, put_u32, put_u64};
use super::layout::{BlockWriter, Part};
use std::io::{self, Seek, Write};

/// The value of a writeset tree's entry.
pub fn writeset_value(nr_bits: u32, root: u64) -> [u8; 12] {
    let mut value = [0; 12];
    value[..4].copy_from_slice(&nr_bits.to_le_bytes());
    value[4..].copy_from_slice(&root.to_le_bytes());
    value
}

/// How many entries fit into a node, rounded down to a multiple of 3 as the kernel does it.
pub fn max_entries(value_size: usize) -> u32 {
    let fit = (BLOCK_SIZE - node::KEYS) / (8 + value_size);
    u32::try_from(fit / 3 * 3).expect("a few hundred")
}

/// Writes a b-tree with these entries, ascending by key. `capacity` is the nodes' max_entries.
pub fn write_btree<W: Write + Seek, const N: usize>(
    out: &mut BlockWriter<W>,
    part: Part,
    capacity: Option<u32>,
    entries: &[(u64, [u8; N])],
) -> io::Result<u64> {
    // Internal nodes have the leaves' max_entries, although more of their smaller values would fit: the kernel
    // makes an internal node by splitting a leaf that was the root.
    let capacity = capacity.unwrap_or(max_entries(N));
    let mut level = write_level(out, part, node::LEAF, capacity, entries)?;
    while level.len() > 1 {
        let children: Vec<_> = level.iter().map(|&(key, block)| (key, block.to_le_bytes())).collect();
        level = write_level(out, part, node::INTERNAL, capacity, &children)?;
    }
    Ok(level[0].1)
}

/// Writes one level of a b-tree: returns each node's first key and block number.
fn write_level<W: Write + Seek, const N: usize>(
    out: &mut BlockWriter<W>,
    part: Part,
    flags: u32,
    capacity: u32,
    entries: &[(u64, [u8; N])],
) -> io::Result<Vec<(u64, u64)>> {
    // Spread evenly, as era_dump refuses nodes (but for the root) that are less than a third full.
    let nodes = entries.len().div_ceil(capacity as usize).max(1);
    let mut level = Vec::new();
    for i in 0..nodes {
        let of_node = &entries[entries.len() * i / nodes..entries.len() * (i + 1) / nodes];
        let mut block = node_block(flags, capacity, of_node);
        let number = out.append(part, &mut block)?;
        level.push((of_node.first().map_or(0, |entry| entry.0), number));
    }
    Ok(level)
}

/// A b-tree node, not numbered and not sealed yet.
pub fn node_block<const N: usize>(flags: u32, max_entries: u32, entries: &[(u64, [u8; N])]) -> super::Block {
    let mut block = empty();
    put_u32(&mut block, node::FLAGS, flags);
    put_u32(&mut block, node::NR_ENTRIES, u32::try_from(entries.len()).expect("bounded by max_entries"));
    put_u32(&mut block, node::MAX_ENTRIES, max_entries);
    put_u32(&mut block, node::VALUE_SIZE, u32::try_from(N).expect("8 or 12"));
    let mut value_at = node::key(max_entries);
    for (i, (key, value)) in (0..).zip(entries) {
        put_u64(&mut block, node::key(i), *key);
        block[value_at..value_at + N].copy_from_slice(value);
        value_at += N;
    }
    block
}

/// Writes an array of `len` values of N bytes; parts are those of its b-tree and of its values.
pub fn write_array<const N: usize, W: Write + Seek>(
    out: &mut BlockWriter<W>,
    capacity: Option<u32>,
    [index_part, values_part]: [Part; 2],
    len: u64,
    mut value: impl FnMut(u64) -> [u8; N],
) -> io::Result<u64> {
    let per_block = (BLOCK_SIZE - array::VALUES) / N;
    let mut index = Vec::new();
    let mut block = empty();
    for first in (0..len).step_by(per_block) {
        let last = len.min(first + per_block as u64);
        block.fill(0);
        put_u32(&mut block, array::MAX_ENTRIES, u32::try_from(per_block).expect("about a thousand"));
        put_u32(&mut block, array::NR_ENTRIES, u32::try_from(last - first).expect("about a thousand"));
        put_u32(&mut block, array::VALUE_SIZE, u32::try_from(N).expect("4 or 8"));
        for (slot, i) in block[array::VALUES..].chunks_exact_mut(N).zip(first..last) {
            slot.copy_from_slice(&value(i));
        }
        let number = out.append(values_part, &mut block)?;
        index.push((index.len() as u64, number.to_le_bytes()));
    }
    write_btree(out, index_part, capacity, &index)
}

pub fn write_bitset<W: Write + Seek>(
    out: &mut BlockWriter<W>,
    capacity: Option<u32>,
    parts: [Part; 2],
    words: &[u64],
) -> io::Result<u64> {
    write_array::<8, _>(out, capacity, parts, words.len() as u64, |i| {
        words[usize::try_from(i).expect("an index of a Vec")].to_le_bytes()
    })
}
