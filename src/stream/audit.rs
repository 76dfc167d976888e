// SPDX-License-Identifier: GPL-3.0-or-later
//! What an audit found: whether blocks that dm-era calls unchanged are what the receiver has. An optional record of a
//! stream; `docs/stream.md` specifies it.

use anyhow::bail;

use super::OPTIONAL;

/// Type of the record.
pub const AUDIT: u32 = 6 | OPTIONAL;

/// Units that are named in a record; there may be more that differ.
pub const MAX_NAMED: usize = 1 << 16;

const HEAD_BYTES: usize = 32;

/// What was compared, and what differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// The first unit of the list that was compared.
    pub first: u64,
    /// From a unit of the list to the next.
    pub stride: u64,
    /// Units that were compared: those of the list that have not changed since the cursor.
    pub checked: u64,
    /// Units that differ, although nothing says that they were written.
    pub differing: u64,
    /// The first of those.
    pub units: Vec<u64>,
}

impl Audit {
    /// The payload of the record.
    pub fn pack(&self) -> Vec<u8> {
        let named = &self.units[..self.units.len().min(MAX_NAMED)];
        let numbers = [self.first, self.stride, self.checked, self.differing];
        numbers.iter().chain(named).flat_map(|number| number.to_le_bytes()).collect()
    }

    /// Reads a payload.
    pub fn unpack(payload: &[u8]) -> anyhow::Result<Self> {
        if payload.len() < HEAD_BYTES || !payload.len().is_multiple_of(8) {
            bail!("the record of an audit has {} bytes", payload.len());
        }
        let mut numbers = payload.chunks_exact(8).map(|bytes| {
            let mut number = [0; 8];
            number.copy_from_slice(bytes);
            u64::from_le_bytes(number)
        });
        let mut next = || numbers.next().unwrap_or_default();
        let (first, stride, checked, differing) = (next(), next(), next(), next());
        let audit = Self { first, stride, checked, differing, units: numbers.collect() };
        let named = audit.units.len() as u64;
        if stride == 0 || differing > checked || named > differing || (named == 0) != (differing == 0) {
            bail!(
                "the record of an audit contradicts itself: {checked} compared, {differing} differ, {named} named"
            );
        }
        Ok(audit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        let audit = Audit { first: 3, stride: 1000, checked: 64, differing: 2, units: vec![3, 2003] };
        assert_eq!(Audit::unpack(&audit.pack()).unwrap(), audit);
        let clean = Audit { differing: 0, units: Vec::new(), ..audit };
        assert_eq!(Audit::unpack(&clean.pack()).unwrap(), clean);
    }

    #[test]
    fn no_more_are_named_than_a_record_has_room_for() {
        let count = MAX_NAMED as u64 + 5;
        let audit =
            Audit { first: 0, stride: 1, checked: count, differing: count, units: (0..count).collect() };
        let read = Audit::unpack(&audit.pack()).unwrap();
        assert_eq!((read.differing, read.units.len()), (count, MAX_NAMED));
    }

    #[test]
    fn nonsense_is_refused() {
        let bad = |checked, differing, units: &[u64], stride| {
            let audit = Audit { first: 0, stride, checked, differing, units: units.into() };
            assert!(Audit::unpack(&audit.pack()).is_err(), "{audit:?}");
        };
        bad(1, 2, &[1], 1);
        bad(5, 1, &[], 1);
        bad(5, 0, &[1], 1);
        bad(5, 1, &[1, 2], 1);
        bad(5, 0, &[], 0);
        for len in [0, 31, 33] {
            assert!(Audit::unpack(&vec![0; len]).is_err(), "{len}");
        }
    }
}
