// SPDX-License-Identifier: GPL-3.0-or-later
//! Hash lists: what a receiver has, told to the sender, which then sends only what is different. `docs/stream.md`
//! specifies them.

use std::io::{self, Read, Write};

use anyhow::{Context, bail};
use uuid::Uuid;

use super::{Fault, StreamError};

const MAGIC: [u8; 8] = *b"ERAHASH\x8e";
const HEADER_BYTES: usize = 64;

/// BLAKE3 of the bytes of a unit.
pub type Hash = [u8; 32];

/// What a list is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashListHeader {
    /// The device.
    pub device: Uuid,
    /// Size of the device as the receiver has it.
    pub device_bytes: u64,
    /// Size of a unit; the last one ends where the device does.
    pub unit_bytes: u64,
    /// The first unit of the list.
    pub first: u64,
    /// From a unit to the next.
    pub stride: u64,
}

impl HashListHeader {
    /// Number of hashes in the list.
    pub fn count(&self) -> u64 {
        let units = self.device_bytes.div_ceil(self.unit_bytes);
        units.saturating_sub(self.first).div_ceil(self.stride)
    }

    fn pack(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..24].copy_from_slice(self.device.as_bytes());
        for (at, number) in [
            (24, self.device_bytes),
            (32, self.unit_bytes),
            (40, self.first),
            (48, self.stride),
            (56, self.count()),
        ] {
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn unpack(bytes: &[u8; HEADER_BYTES]) -> anyhow::Result<Self> {
        if bytes[..8] != MAGIC {
            bail!("this is no list of hashes");
        }
        let number = |at: usize| {
            bytes[at..at + 8].iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte))
        };
        let mut device = [0; 16];
        device.copy_from_slice(&bytes[8..24]);
        let header = Self {
            device: Uuid::from_bytes(device),
            device_bytes: number(24),
            unit_bytes: number(32),
            first: number(40),
            stride: number(48),
        };
        if header.unit_bytes == 0
            || header.stride == 0
            || header.device_bytes > i64::MAX.cast_unsigned()
            || header.count() != number(56)
        {
            bail!("the list of hashes contradicts itself: {header:?}, {} hashes", number(56));
        }
        Ok(header)
    }
}

/// Writes a list.
pub struct HashListWriter<W> {
    output: W,
    hasher: blake3::Hasher,
    left: u64,
}

impl<W: Write> HashListWriter<W> {
    /// Begins a list.
    pub fn new(output: W, header: &HashListHeader) -> io::Result<Self> {
        let mut writer = Self { output, hasher: blake3::Hasher::new(), left: header.count() };
        writer.write(&header.pack())?;
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.output.write_all(bytes)
    }

    /// Appends the hash of the next unit.
    ///
    /// # Panics
    /// When there are more than the header says.
    pub fn push(&mut self, hash: &Hash) -> io::Result<()> {
        self.left = self.left.checked_sub(1).expect("no more hashes than were announced");
        self.write(hash)
    }

    /// Ends the list. Returns what identifies it.
    ///
    /// # Panics
    /// When there are fewer than the header says.
    pub fn finish(mut self) -> io::Result<Hash> {
        assert_eq!(self.left, 0, "no fewer hashes than were announced");
        let hash = *self.hasher.finalize().as_bytes();
        self.output.write_all(&hash)?;
        self.output.flush()?;
        Ok(hash)
    }
}

/// Reads a list. Its end says whether all of it was right: what comes before is not to be relied on until then.
pub struct HashListReader<R> {
    input: R,
    hasher: blake3::Hasher,
    /// What the list is of.
    pub header: HashListHeader,
    left: u64,
}

impl<R: Read> HashListReader<R> {
    /// Reads the beginning.
    pub fn new(mut input: R) -> anyhow::Result<Self> {
        let mut bytes = [0; HEADER_BYTES];
        input.read_exact(&mut bytes).context("the list of hashes cannot be read")?;
        let header = HashListHeader::unpack(&bytes)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&bytes);
        Ok(Self { input, hasher, left: header.count(), header })
    }

    /// The next hash; `None` behind the last.
    pub fn next_hash(&mut self) -> anyhow::Result<Option<Hash>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut hash = [0; 32];
        self.input.read_exact(&mut hash).context("the list of hashes ends early")?;
        self.hasher.update(&hash);
        Ok(Some(hash))
    }

    /// Reads the rest; returns what identifies the list, if all of it was as it was written.
    pub fn finish(mut self) -> anyhow::Result<Hash> {
        while self.next_hash()?.is_some() {}
        let mut stored = [0; 32];
        self.input.read_exact(&mut stored).context("the list of hashes ends early")?;
        if stored != *self.hasher.finalize().as_bytes() {
            let error: StreamError = Fault::Hash.at(0);
            return Err(anyhow::Error::from(error).context("the list of hashes"));
        }
        Ok(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> HashListHeader {
        HashListHeader {
            device: Uuid::from_u128(1),
            device_bytes: 10_000,
            unit_bytes: 4096,
            first: 0,
            stride: 1,
        }
    }

    fn list() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = HashListWriter::new(&mut bytes, &header()).unwrap();
        (0..3).for_each(|i| writer.push(&[i; 32]).unwrap());
        writer.finish().unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> anyhow::Result<Vec<Hash>> {
        let mut reader = HashListReader::new(bytes)?;
        let mut hashes = Vec::new();
        while let Some(hash) = reader.next_hash()? {
            hashes.push(hash);
        }
        reader.finish().map(|_| hashes)
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        assert_eq!(HashListReader::new(&list()[..]).unwrap().header, header());
        assert_eq!(read(&list()).unwrap(), [[0; 32], [1; 32], [2; 32]]);
    }

    #[test]
    fn samples_have_a_stride() {
        let sample = |first, stride| HashListHeader { first, stride, ..header() }.count();
        assert_eq!((sample(0, 2), sample(1, 2), sample(2, 9), sample(3, 1)), (2, 1, 1, 0));
    }

    #[test]
    fn whatever_is_wrong_is_an_error() {
        let good = list();
        for len in 0..good.len() {
            assert!(read(&good[..len]).is_err(), "{len}");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(read(&bad).is_err(), "{at}");
        }
    }
}
