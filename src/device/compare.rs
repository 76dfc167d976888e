// SPDX-License-Identifier: GPL-3.0-or-later
//! Only what is different goes into the stream: the device is read from its beginning to its end, and each unit is
//! compared with the hash that the receiver has of it.

use std::io::{self, Read};

use crate::blockio::Piece;
use crate::stream::{Encode, HashListReader};
use crate::units::Extent;

/// Lets pass what a list of hashes does not have.
pub struct Comparer<'a, R> {
    output: &'a mut dyn Encode,
    list: &'a mut HashListReader<R>,
    device_bytes: u64,
    /// The unit that is being read, as far as it is.
    unit: Vec<u8>,
    offset: u64,
    /// Bytes that were different.
    pub different_bytes: u64,
}

impl<'a, R: Read> Comparer<'a, R> {
    /// Nothing read yet.
    pub fn new(output: &'a mut dyn Encode, list: &'a mut HashListReader<R>, device_bytes: u64) -> Self {
        Self { output, list, device_bytes, unit: Vec::new(), offset: 0, different_bytes: 0 }
    }

    fn compare(&mut self) -> io::Result<()> {
        let expected = self.list.next_hash().map_err(|e| io::Error::other(format!("{e:#}")))?;
        if expected != Some(*blake3::hash(&self.unit).as_bytes()) {
            let extent = Extent { offset: self.offset, len: self.unit.len() as u64 };
            self.different_bytes += extent.len;
            self.output.piece(&Piece { extent, offset: self.offset, bytes: &self.unit })?;
        }
        self.offset += self.unit.len() as u64;
        self.unit.clear();
        Ok(())
    }
}

impl<R: Read> Encode for Comparer<'_, R> {
    fn piece(&mut self, piece: &Piece) -> io::Result<()> {
        let mut bytes = piece.bytes;
        while !bytes.is_empty() {
            let size = self.list.header.unit_bytes.min(self.device_bytes - self.offset);
            let missing = usize::try_from(size).unwrap_or(usize::MAX) - self.unit.len();
            let (more, rest) = bytes.split_at(missing.min(bytes.len()));
            self.unit.extend_from_slice(more);
            if more.len() == missing {
                self.compare()?;
            }
            bytes = rest;
        }
        Ok(())
    }

    fn rest(&mut self) -> io::Result<()> {
        self.output.rest()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.output.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{HashListHeader, HashListWriter};

    struct Sink(Vec<(u64, Vec<u8>)>);

    impl Encode for Sink {
        fn piece(&mut self, piece: &Piece) -> io::Result<()> {
            self.0.push((piece.offset, piece.bytes.to_vec()));
            Ok(())
        }

        fn finish(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is sent of `now` to somebody who has `then`, in pieces of a length that fits nothing.
    fn sent(then: &[u8], now: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let header = HashListHeader {
            device: uuid::Uuid::nil(),
            device_bytes: then.len() as u64,
            unit_bytes: 16,
            first: 0,
            stride: 1,
        };
        let mut bytes = Vec::new();
        let mut writer = HashListWriter::new(&mut bytes, &header).unwrap();
        then.chunks(16).for_each(|unit| writer.push(blake3::hash(unit).as_bytes()).unwrap());
        writer.finish().unwrap();
        let mut list = HashListReader::new(&bytes[..]).unwrap();
        let mut sink = Sink(Vec::new());
        let mut comparer = Comparer::new(&mut sink, &mut list, now.len() as u64);
        for (piece, offset) in now.chunks(23).zip((0..).step_by(23)) {
            let extent = Extent { offset, len: piece.len() as u64 };
            comparer.piece(&Piece { extent, offset, bytes: piece }).unwrap();
        }
        list.finish().unwrap();
        sink.0
    }

    #[test]
    fn only_units_that_differ() {
        let then: Vec<u8> = (0..100).collect();
        assert_eq!(sent(&then, &then), []);
        let mut now = then.clone();
        now[40] = 0;
        now[99] = 0;
        assert_eq!(sent(&then, &now), [(32, now[32..48].to_vec()), (96, now[96..].to_vec())]);
    }

    #[test]
    fn devices_of_other_sizes() {
        let then: Vec<u8> = (0..100).collect();
        let now: Vec<u8> = (0..120).collect();
        assert_eq!(sent(&then, &now), [(96, now[96..112].to_vec()), (112, now[112..].to_vec())]);
        assert_eq!(sent(&now, &then), [(96, then[96..].to_vec())]);
    }
}
