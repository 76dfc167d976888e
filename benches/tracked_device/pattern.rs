// SPDX-License-Identifier: GPL-3.0-or-later
//! What is written, where and in which order.
//!
//! A pattern is done twice. The first time, every write meets a block that is not marked in the current era (and, for
//! the snapshot, a chunk that is not copied): dm-era's worst case, as in practice a block is marked once an era, however
//! often it is written. The second time all of that has been done. The patterns of one list keep out of each other's
//! blocks, so that one new era, and one snapshot, serves all.

use crate::{
    parameters::{
        CHUNK, KIB, MANY_IN_FLIGHT, MANY_PASSES, MANY_WRITES, MIB, RANDOM_WRITE, SEQUENTIAL_BYTES,
        SEQUENTIAL_IN_FLIGHT, SEQUENTIAL_WRITE, SINGLE_PASSES, SINGLE_WRITES,
    },
    random::Random,
};

pub struct Pattern {
    pub title: String,
    pub write_bytes: u64,
    pub in_flight: usize,
    /// Where the writes of the first time go.
    pub first: Vec<u64>,
    /// The same places, some of them more often, for the second time.
    pub again: Vec<u64>,
}

/// All patterns, for a disk of so many bytes and blocks of so many.
pub fn all(disk_bytes: u64, block_bytes: u64) -> Vec<Pattern> {
    let mut random = Random::new(block_bytes);
    let mut blocks: Vec<u64> = (SEQUENTIAL_BYTES / block_bytes..disk_bytes / block_bytes).collect();
    assert!(blocks.len() >= MANY_WRITES + SINGLE_WRITES, "the data disk is too small for the parameters");
    shuffle(&mut blocks, &mut random);
    let mut scattered = |blocks: &[u64], in_flight, passes| {
        let first = one_in_each(blocks, block_bytes, &mut random);
        let again = (0..passes).flat_map(|_| shuffled(&first, &mut random)).collect();
        let title = format!("random {} KiB, {in_flight} in flight", RANDOM_WRITE / KIB);
        Pattern { title, write_bytes: RANDOM_WRITE, in_flight, first, again }
    };
    let (many, rest) = blocks.split_at(MANY_WRITES);
    vec![
        scattered(many, MANY_IN_FLIGHT, MANY_PASSES),
        scattered(&rest[..SINGLE_WRITES], 1, SINGLE_PASSES),
        sequential(),
    ]
}

/// How many chunks a snapshot copies for all these writes.
pub fn chunks(patterns: &[Pattern]) -> u64 {
    let chunks_of = |pattern: &Pattern| {
        let last = pattern.write_bytes - 1;
        let mut chunks: Vec<u64> =
            pattern.first.iter().flat_map(|offset| offset / CHUNK..=(offset + last) / CHUNK).collect();
        chunks.sort_unstable();
        chunks.dedup();
        chunks.len() as u64
    };
    patterns.iter().map(chunks_of).sum()
}

/// A place for a small write in each of these blocks.
fn one_in_each(blocks: &[u64], block_bytes: u64, random: &mut Random) -> Vec<u64> {
    let places = block_bytes / RANDOM_WRITE;
    blocks.iter().map(|block| block * block_bytes + random.below(places) * RANDOM_WRITE).collect()
}

fn sequential() -> Pattern {
    let first: Vec<u64> =
        (0..SEQUENTIAL_BYTES / SEQUENTIAL_WRITE).map(|number| number * SEQUENTIAL_WRITE).collect();
    let title = format!("sequential {} MiB, {SEQUENTIAL_IN_FLIGHT} in flight", SEQUENTIAL_WRITE / MIB);
    let again = first.clone();
    Pattern { title, write_bytes: SEQUENTIAL_WRITE, in_flight: SEQUENTIAL_IN_FLIGHT, first, again }
}

fn shuffled(places: &[u64], random: &mut Random) -> Vec<u64> {
    let mut places = places.to_vec();
    shuffle(&mut places, random);
    places
}

/// Fisher and Yates.
fn shuffle(places: &mut [u64], random: &mut Random) {
    for left in (1..places.len()).rev() {
        let chosen = random.below(left as u64 + 1);
        places.swap(left, usize::try_from(chosen).expect("below a usize"));
    }
}
