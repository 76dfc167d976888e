// SPDX-License-Identifier: GPL-3.0-or-later
//! From the extents of a stream, which begin and end anywhere, to whole units.

use super::geometry::Geometry;
use crate::units::Extent;

/// What a unit is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Data(Vec<u8>),
    /// Zeros.
    Zeros,
}

/// Takes whole units, and knows what they hold until then.
pub trait Units {
    /// Fills the buffer with what a unit holds now.
    fn base(&mut self, unit: u64, buf: &mut [u8]) -> anyhow::Result<()>;

    /// A unit is to hold this.
    fn unit(&mut self, unit: u64, content: Content) -> anyhow::Result<()>;
}

/// Puts units together. Extents of one unit mostly come one after another; where they do not, what is between them is
/// what the unit held before.
pub struct Assembler {
    geometry: Geometry,
    open: Option<Open>,
}

/// A unit of which some is there.
struct Open {
    unit: u64,
    bytes: Vec<u8>,
    /// So many bytes from its beginning are there.
    filled: usize,
}

impl Assembler {
    /// Nothing yet.
    pub fn new(geometry: Geometry) -> Self {
        Self { geometry, open: None }
    }

    /// Takes an extent that holds data, or zeros where there are no bytes.
    pub fn take(&mut self, extent: Extent, bytes: Option<&[u8]>, to: &mut dyn Units) -> anyhow::Result<()> {
        let mut at = extent.offset;
        while at < extent.end() {
            let unit = self.geometry.unit_of(at);
            let whole = self.geometry.extent(unit);
            let end = whole.end().min(extent.end());
            if bytes.is_none() && at == whole.offset && end == whole.end() {
                self.close(to)?;
                to.unit(unit, Content::Zeros)?;
            } else {
                let (from, to_byte) =
                    (usize::try_from(at - extent.offset)?, usize::try_from(end - extent.offset)?);
                let piece = bytes.map(|bytes| &bytes[from..to_byte]);
                self.put(unit, at - whole.offset, end - at, piece, to)?;
            }
            at = end;
        }
        Ok(())
    }

    /// What was begun is whole with what was there before.
    pub fn close(&mut self, to: &mut dyn Units) -> anyhow::Result<()> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        open.complete(to)?;
        to.unit(open.unit, Content::Data(open.bytes))
    }

    fn put(
        &mut self,
        unit: u64,
        begin: u64,
        len: u64,
        piece: Option<&[u8]>,
        to: &mut dyn Units,
    ) -> anyhow::Result<()> {
        if self.open.as_ref().is_some_and(|open| open.unit != unit) {
            self.close(to)?;
        }
        let size = usize::try_from(self.geometry.extent(unit).len)?;
        let (begin, len) = (usize::try_from(begin)?, usize::try_from(len)?);
        let open = self.open.get_or_insert_with(|| Open { unit, bytes: vec![0; size], filled: 0 });
        if begin != open.filled {
            open.complete(to)?;
        }
        let target = &mut open.bytes[begin..begin + len];
        match piece {
            Some(piece) => target.copy_from_slice(piece),
            None => target.fill(0),
        }
        open.filled = open.filled.max(begin + len);
        if open.filled == size && begin + len == size {
            self.close(to)?;
        }
        Ok(())
    }
}

impl Open {
    /// Fills in what is not there from what the unit holds now.
    fn complete(&mut self, to: &mut dyn Units) -> anyhow::Result<()> {
        if self.filled < self.bytes.len() {
            let mut base = vec![0; self.bytes.len()];
            to.base(self.unit, &mut base)?;
            self.bytes[self.filled..].copy_from_slice(&base[self.filled..]);
            self.filled = self.bytes.len();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A device in memory, which counts the units that it is given.
    struct Memory {
        geometry: Geometry,
        bytes: Vec<u8>,
        units: Vec<u64>,
    }

    impl Memory {
        fn new(device_bytes: u64, unit_bytes: u64) -> Self {
            let geometry = Geometry::new(device_bytes, unit_bytes).unwrap();
            Self { geometry, bytes: (0..device_bytes).map(|i| (i % 251) as u8).collect(), units: Vec::new() }
        }

        fn range(&self, unit: u64) -> std::ops::Range<usize> {
            let extent = self.geometry.extent(unit);
            extent.offset as usize..extent.end() as usize
        }
    }

    impl Units for Memory {
        fn base(&mut self, unit: u64, buf: &mut [u8]) -> anyhow::Result<()> {
            buf.copy_from_slice(&self.bytes[self.range(unit)]);
            Ok(())
        }

        fn unit(&mut self, unit: u64, content: Content) -> anyhow::Result<()> {
            let range = self.range(unit);
            match content {
                Content::Data(bytes) => self.bytes[range].copy_from_slice(&bytes),
                Content::Zeros => self.bytes[range].fill(0),
            }
            self.units.push(unit);
            Ok(())
        }
    }

    #[test]
    fn a_unit_in_pieces_is_one_unit() {
        let mut memory = Memory::new(40, 16);
        let mut assembler = Assembler::new(memory.geometry);
        for (offset, len) in [(0, 6), (6, 10), (32, 8)] {
            assembler.take(Extent { offset, len }, Some(&vec![1; len as usize]), &mut memory).unwrap();
        }
        assert_eq!(memory.units, [0, 2]);
        assert_eq!(memory.bytes[..16], [1; 16]);
        assert_eq!(memory.bytes[16..20], [16, 17, 18, 19]);
        assembler.take(Extent { offset: 0, len: 40 }, None, &mut memory).unwrap();
        assert_eq!(memory.units, [0, 2, 0, 1, 2]);
        assert_eq!(memory.bytes, [0; 40]);
    }

    proptest! {
        #[test]
        fn whatever_comes_the_device_is_as_if_it_were_written_plainly(
            pieces in prop::collection::vec((0u64..100, 1u64..60, prop::option::of(1u8..)), 0..30),
        ) {
            let mut memory = Memory::new(100, 16);
            let mut expected = memory.bytes.clone();
            let mut assembler = Assembler::new(memory.geometry);
            for (offset, len, byte) in pieces {
                let len = len.min(100 - offset);
                let bytes = byte.map(|byte| vec![byte; len as usize]);
                expected[offset as usize..][..len as usize].fill(byte.unwrap_or(0));
                assembler.take(Extent { offset, len }, bytes.as_deref(), &mut memory).unwrap();
            }
            assembler.close(&mut memory).unwrap();
            prop_assert_eq!(memory.bytes, expected);
        }
    }
}
