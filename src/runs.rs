// SPDX-License-Identifier: GPL-3.0-or-later
//! Sets of blocks, read out as sorted, disjoint, maximal runs.
//!
//! The set is a bitmap in chunks of 8 KiB that are allocated when first touched: at most one bit a block plus
//! 256 KiB for a device of the greatest possible size, and next to nothing when little changed. A list of
//! runs would need 128 times that in the worst case, every other block.

use crate::units::MAX_BLOCKS;

/// Blocks `begin..end`; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First block.
    pub begin: u64,
    /// The block after the last one.
    pub end: u64,
}

impl Run {
    /// Number of blocks.
    pub fn blocks(&self) -> u64 {
        self.end - self.begin
    }
}

const WORDS: usize = 1024;
const WORD_BITS: u64 = u64::BITS as u64;
const CHUNK_BITS: u64 = WORDS as u64 * WORD_BITS;

type Chunk = [u64; WORDS];

/// A set of block numbers below a limit.
#[derive(Clone, Debug)]
pub struct BlockSet {
    limit: u64,
    chunks: Vec<Option<Box<Chunk>>>,
}

impl BlockSet {
    /// An empty set of blocks `0..limit`.
    ///
    /// # Panics
    /// When `limit` is above [`MAX_BLOCKS`]: callers check what they read first.
    pub fn new(limit: u64) -> Self {
        assert!(limit <= MAX_BLOCKS, "{limit} blocks are more than dm-era can number");
        Self { limit, chunks: vec![None; index(limit.div_ceil(CHUNK_BITS))] }
    }

    /// Adds a run of blocks.
    ///
    /// # Panics
    /// When the run is not within the limit.
    pub fn insert(&mut self, run: Run) {
        assert!(run.end <= self.limit, "blocks {}..{} of {}", run.begin, run.end, self.limit);
        let mut at = run.begin;
        while at < run.end {
            let bit = at % WORD_BITS;
            let count = (WORD_BITS - bit).min(run.end - at);
            self.union_word(at / WORD_BITS, (u64::MAX >> (WORD_BITS - count)) << bit);
            at += count;
        }
    }

    /// Adds the blocks `64 * word_index + i` for every bit `i` that is set in `bits`; bits at or beyond the limit
    /// are left out.
    #[inline]
    pub fn union_word(&mut self, word_index: u64, bits: u64) {
        let first = word_index * WORD_BITS;
        if bits == 0 || first >= self.limit {
            return;
        }
        let below_limit = u64::MAX >> (WORD_BITS - (self.limit - first).min(WORD_BITS));
        let chunk = self.chunks[index(first / CHUNK_BITS)].get_or_insert_with(|| Box::new([0; WORDS]));
        chunk[index(word_index) % WORDS] |= bits & below_limit;
    }

    /// Adds the blocks `first + i` for every bit `i` that is set in `bits`; blocks at or beyond the limit are left out.
    #[inline]
    pub fn union_bits(&mut self, first: u64, bits: u64) {
        let (word, shift) = (first / WORD_BITS, first % WORD_BITS);
        self.union_word(word, bits << shift);
        if shift > 0 {
            self.union_word(word + 1, bits >> (WORD_BITS - shift));
        }
    }

    /// Whether a block is in the set.
    pub fn contains(&self, block: u64) -> bool {
        block < self.limit && self.word(block / WORD_BITS) >> (block % WORD_BITS) & 1 == 1
    }

    /// Number of blocks in the set.
    pub fn len(&self) -> u64 {
        self.chunks
            .iter()
            .flatten()
            .flat_map(|chunk| chunk.iter())
            .map(|word| u64::from(word.count_ones()))
            .sum()
    }

    /// Number of blocks in this set that are not in another one of the same limit.
    pub fn len_without(&self, other: &Self) -> u64 {
        let words = |chunk: &Chunk, other: Option<&Chunk>| -> u64 {
            let other = |at: usize| other.map_or(0, |other| other[at]);
            chunk.iter().enumerate().map(|(at, word)| u64::from((word & !other(at)).count_ones())).sum()
        };
        let pairs = self.chunks.iter().zip(&other.chunks);
        pairs.filter_map(|(chunk, other)| Some(words(chunk.as_deref()?, other.as_deref()))).sum()
    }

    /// Whether the set has no block.
    pub fn is_empty(&self) -> bool {
        self.runs().next().is_none()
    }

    /// The set as runs: ascending, with a gap between each two.
    pub fn runs(&self) -> Runs<'_> {
        Runs { set: self, at: 0, end: self.limit }
    }

    /// The same of what is within a run.
    pub fn runs_in(&self, within: Run) -> Runs<'_> {
        Runs { set: self, at: within.begin, end: within.end.min(self.limit) }
    }

    fn word(&self, word_index: u64) -> u64 {
        match &self.chunks[index(word_index) / WORDS] {
            Some(chunk) => chunk[index(word_index) % WORDS],
            None => 0,
        }
    }

    /// The first block at or after `from` that is (`wanted`) or is not in the set; the limit where there is none.
    fn find(&self, from: u64, wanted: bool) -> u64 {
        let mut at = from;
        while at < self.limit {
            if wanted && self.chunks[index(at / CHUNK_BITS)].is_none() {
                at = (at / CHUNK_BITS + 1) * CHUNK_BITS;
                continue;
            }
            let word = self.word(at / WORD_BITS);
            let bits = (if wanted { word } else { !word }) >> (at % WORD_BITS);
            if bits != 0 {
                return (at + u64::from(bits.trailing_zeros())).min(self.limit);
            }
            at = (at / WORD_BITS + 1) * WORD_BITS;
        }
        self.limit
    }
}

/// Iterator over the runs of a [`BlockSet`].
#[derive(Clone, Debug)]
pub struct Runs<'a> {
    set: &'a BlockSet,
    at: u64,
    end: u64,
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let begin = self.set.find(self.at, true);
        if begin >= self.end {
            return None;
        }
        let end = self.set.find(begin, false).min(self.end);
        self.at = end;
        Some(Run { begin, end })
    }
}

/// Block numbers are below 2^31, which fits every `usize` that Linux runs on.
#[allow(clippy::cast_possible_truncation)]
fn index(n: u64) -> usize {
    n as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn run(begin: u64, end: u64) -> Run {
        Run { begin, end }
    }

    fn set(limit: u64, runs: &[Run]) -> BlockSet {
        let mut set = BlockSet::new(limit);
        runs.iter().for_each(|&r| set.insert(r));
        set
    }

    #[test]
    fn adjacent_and_overlapping_runs_become_one() {
        let runs: Vec<_> = set(300, &[run(10, 20), run(20, 30), run(15, 25), run(299, 300)]).runs().collect();
        assert_eq!(runs, [run(10, 30), run(299, 300)]);
    }

    #[test]
    fn runs_cross_words_and_chunks() {
        let long = run(CHUNK_BITS - 1, 2 * CHUNK_BITS + 1);
        let set = set(3 * CHUNK_BITS, &[long]);
        assert_eq!(set.runs().collect::<Vec<_>>(), [long]);
        assert_eq!(set.len(), CHUNK_BITS + 2);
    }

    #[test]
    fn the_ends_of_the_greatest_device() {
        let set = set(MAX_BLOCKS, &[run(0, 1), run(MAX_BLOCKS - 1, MAX_BLOCKS)]);
        assert_eq!(set.runs().collect::<Vec<_>>(), [run(0, 1), run(MAX_BLOCKS - 1, MAX_BLOCKS)]);
    }

    #[test]
    fn words_are_cut_at_the_limit() {
        let mut set = BlockSet::new(65);
        set.union_word(1, u64::MAX);
        set.union_word(2, u64::MAX);
        assert_eq!(set.runs().collect::<Vec<_>>(), [run(64, 65)]);
        assert!(set.contains(64) && !set.contains(63) && !set.contains(65));
    }

    #[test]
    fn bits_may_begin_anywhere() {
        for first in [0, 1, 63, 64, CHUNK_BITS - 1] {
            let mut set = BlockSet::new(CHUNK_BITS + 40);
            set.union_bits(first, 1 | 1 << 63);
            let both = [first, first + 63].map(|block| run(block, block + 1));
            let within = both.iter().filter(|run| run.end <= CHUNK_BITS + 40);
            assert!(set.runs().eq(within.copied()), "{first}");
        }
    }

    #[test]
    fn runs_end_with_what_is_asked_for() {
        let set = set(3000, &[run(10, 20), run(30, 2000)]);
        let within = |begin, end| set.runs_in(run(begin, end)).collect::<Vec<_>>();
        assert_eq!(within(0, 3000), [run(10, 20), run(30, 2000)]);
        assert_eq!(within(15, 31), [run(15, 20), run(30, 31)]);
        assert_eq!(within(20, 30), []);
        assert_eq!(within(100, 101), [run(100, 101)]);
        assert_eq!(within(2000, 9000), []);
    }

    #[test]
    fn empty_sets() {
        assert!(BlockSet::new(0).is_empty());
        assert!(BlockSet::new(1000).is_empty());
        assert_eq!(BlockSet::new(1000).len(), 0);
    }

    proptest! {
        #[test]
        fn agrees_with_a_set_of_numbers(runs in prop::collection::vec((0u64..200_000, 1u64..300), 0..40)) {
            let runs: Vec<_> = runs.into_iter().map(|(b, n)| run(b, b + n)).collect();
            let set = set(200_300, &runs);
            let model: BTreeSet<u64> = runs.iter().flat_map(|r| r.begin..r.end).collect();
            let out: Vec<_> = set.runs().collect();
            prop_assert!(out.windows(2).all(|w| w[0].end < w[1].begin));
            prop_assert_eq!(set.len(), model.len() as u64);
            let mut odd = BlockSet::new(200_300);
            (0..100_000).for_each(|word| odd.union_word(word, 0xaaaa_aaaa_aaaa_aaaa * u64::from(word % 2 == 0)));
            let rest = model.iter().filter(|&&block| !odd.contains(block)).count();
            prop_assert_eq!(set.len_without(&odd), rest as u64);
            prop_assert_eq!(out.iter().flat_map(|r| r.begin..r.end).collect::<BTreeSet<_>>(), model);
        }
    }
}
