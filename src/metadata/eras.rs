// SPDX-License-Identifier: GPL-3.0-or-later
//! Which entries of the era array are recent enough: the innermost loop of the whole question, run once for each block of
//! the data device.
//!
//! Sixty-four entries become one word. They are compared into a byte each, and eight bytes are then gathered into
//! eight bits by one multiplication; a compiler makes vector instructions of both for any processor, which it
//! does not when each comparison is shifted into the word.

use crate::runs::BlockSet;
use crate::units::Era;

/// Bytes of an entry.
pub(super) const ERA_BYTES: usize = 4;

const WORD_BITS: usize = 64;

/// Adds the blocks whose entries are `since` or later; the first entry is of block `first`.
pub(super) fn add_recent(changed: &mut BlockSet, first: u64, entries: &[u8], since: Era) {
    let (words, rest) = entries.as_chunks::<ERA_BYTES>().0.as_chunks::<WORD_BITS>();
    let mut at = first;
    for entries in words {
        changed.union_bits(at, recent(entries, since));
        at += WORD_BITS as u64;
    }
    if !rest.is_empty() {
        let mut entries = [[0; ERA_BYTES]; WORD_BITS];
        entries[..rest.len()].copy_from_slice(rest);
        // Era 0 is later than nothing but asked for all the same: what was filled up does not count.
        changed.union_bits(at, recent(&entries, since) & (u64::MAX >> (WORD_BITS - rest.len())));
    }
}

fn recent(entries: &[[u8; ERA_BYTES]; WORD_BITS], since: Era) -> u64 {
    let mut bytes = [0; WORD_BITS];
    for (byte, entry) in bytes.iter_mut().zip(entries) {
        *byte = u8::from(u32::from_le_bytes(*entry) >= since.0);
    }
    bytes.as_chunks().0.iter().rev().fold(0, |bits, eight| bits << 8 | gather(*eight))
}

/// Byte i, which is 0 or 1, becomes bit i: each is shifted to its place in the uppermost byte, and no two others meet.
fn gather(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::runs::Run;

    #[test]
    fn every_byte_is_gathered() {
        for bits in 0..=255u8 {
            let bytes = std::array::from_fn(|i| bits >> i & 1);
            assert_eq!(gather(bytes), u64::from(bits));
        }
    }

    /// Few, so that equal ones meet, and where signed numbers differ from unsigned ones.
    fn era() -> impl Strategy<Value = u32> {
        prop_oneof![0..4u32, (1u32 << 31) - 1..=1 << 31, u32::MAX - 1..=u32::MAX]
    }

    proptest! {
        #[test]
        fn agrees_with_one_comparison_for_each_block(
            eras in prop::collection::vec(era(), 0..1100),
            first in 0..200u64,
            since in era(),
        ) {
            let limit = first + eras.len() as u64;
            let entries: Vec<u8> = eras.iter().flat_map(|era| era.to_le_bytes()).collect();
            let mut changed = BlockSet::new(limit);
            add_recent(&mut changed, first, &entries, Era(since));
            let mut expected = BlockSet::new(limit);
            for (block, _) in (first..).zip(eras).filter(|(_, era)| *era >= since) {
                expected.insert(Run { begin: block, end: block + 1 });
            }
            prop_assert_eq!(changed.runs().collect::<Vec<_>>(), expected.runs().collect::<Vec<_>>());
        }
    }
}
