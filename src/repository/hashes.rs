// SPDX-License-Identifier: GPL-3.0-or-later
//! The hashes of all units of the image, one after another in the file `hashes`.
//!
//! They are read in pieces and written as they change: a device of 16 TiB in units of 64 KiB has 8 GiB of them.

use std::cell::RefCell;
use std::path::Path;

use thiserror::Error;

use anyhow::bail;

use super::file::RepoFile;

/// BLAKE3 of the bytes of a unit.
pub type UnitHash = [u8; HASH_BYTES];

const HASH_BYTES: usize = 32;

/// Hashes that are read at once.
const WINDOW: u64 = 2048;

/// The hash of a unit's bytes.
pub fn hash(bytes: &[u8]) -> UnitHash {
    *blake3::hash(bytes).as_bytes()
}

/// The hash of so many zeros; the last one asked for is remembered, as most units are of one size.
#[derive(Debug, Default)]
pub struct ZeroHash(Option<(u64, UnitHash)>);

impl ZeroHash {
    /// The hash of `len` zeros.
    pub fn of(&mut self, len: u64) -> UnitHash {
        match self.0 {
            Some((known, hash)) if known == len => hash,
            _ => {
                let zeros = [0; 1 << 16];
                let mut hasher = blake3::Hasher::new();
                let mut left = len;
                while left > 0 {
                    let piece = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
                    hasher.update(&zeros[..piece]);
                    left -= piece as u64;
                }
                let hash = *hasher.finalize().as_bytes();
                self.0 = Some((len, hash));
                hash
            }
        }
    }
}

/// There is no hash of a unit.
#[derive(Clone, Copy, Debug, Error)]
#[error("the file of hashes ends before it")]
pub struct Missing;

/// The file of hashes.
#[derive(Debug)]
pub struct Hashes {
    file: RepoFile,
    window: RefCell<Window>,
}

#[derive(Debug, Default)]
struct Window {
    first: u64,
    bytes: Vec<u8>,
}

impl Hashes {
    /// Opens it for reading and writing; a missing one is made.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        RepoFile::open(path).map(Self::new)
    }

    /// Opens it for reading and writing; it must be there.
    pub fn open_there(path: &Path) -> anyhow::Result<Self> {
        RepoFile::open_there(path).map(Self::new)
    }

    /// Opens it for reading.
    pub fn open_to_read(path: &Path) -> anyhow::Result<Self> {
        RepoFile::open_to_read(path).map(Self::new)
    }

    fn new(file: RepoFile) -> Self {
        Self { file, window: RefCell::default() }
    }

    /// The hash of a unit; `None` beyond the end of the file.
    pub fn get(&self, unit: u64) -> anyhow::Result<Option<UnitHash>> {
        let mut window = self.window.borrow_mut();
        let held = window.bytes.len() as u64 / HASH_BYTES as u64;
        if !(window.first..window.first + held).contains(&unit) {
            let first = unit / WINDOW * WINDOW;
            let there = (self.file.len()? / HASH_BYTES as u64).saturating_sub(first).min(WINDOW);
            window.first = first;
            window.bytes.resize(usize::try_from(there)? * HASH_BYTES, 0);
            if let Err(e) = self.file.read(&mut window.bytes, first * HASH_BYTES as u64) {
                // What was not read is not to be found the next time.
                *window = Window::default();
                return Err(e);
            }
        }
        let at = usize::try_from(unit - window.first)? * HASH_BYTES;
        Ok(window.bytes.get(at..at + HASH_BYTES).map(|bytes| {
            let mut hash = [0; HASH_BYTES];
            hash.copy_from_slice(bytes);
            hash
        }))
    }

    /// Forgets what was read: another process may have changed it.
    pub fn refresh(&self) {
        *self.window.borrow_mut() = Window::default();
    }

    /// Writes hashes, neighbours with one write.
    pub fn set(&self, hashes: &[(u64, UnitHash)]) -> anyhow::Result<()> {
        self.refresh();
        for run in hashes.chunk_by(|(a, _), (b, _)| a + 1 == *b) {
            let bytes: Vec<u8> = run.iter().flat_map(|(_, hash)| hash).copied().collect();
            self.file.write(&bytes, run[0].0 * HASH_BYTES as u64)?;
        }
        Ok(())
    }

    /// Refuses a file that has not a hash for each of so many units.
    pub fn check_len(&self, units: u64) -> anyhow::Result<()> {
        let (has, must) = (self.file.len()?, units * HASH_BYTES as u64);
        if has < must {
            bail!(
                "{}: has {has} bytes, must have {must}: it was cut short; put it back",
                self.file.path().display()
            );
        }
        Ok(())
    }

    /// Makes it as long as so many units need.
    pub fn set_units(&self, units: u64) -> anyhow::Result<()> {
        self.refresh();
        self.file.set_len(units * HASH_BYTES as u64)
    }

    /// Makes what was written durable.
    pub fn sync(&self) -> anyhow::Result<()> {
        self.file.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let hashes = Hashes::open(&dir.path().join("hashes")).unwrap();
        assert_eq!(hashes.get(0).unwrap(), None);
        hashes.set_units(3 * WINDOW).unwrap();
        assert_eq!(hashes.get(2 * WINDOW).unwrap(), Some([0; 32]));
        let all: Vec<_> =
            [0, 1, WINDOW - 1, WINDOW, 3 * WINDOW - 1].map(|unit| (unit, hash(&unit.to_le_bytes()))).into();
        hashes.set(&all).unwrap();
        for (unit, value) in all {
            assert_eq!(hashes.get(unit).unwrap(), Some(value));
        }
        assert_eq!(hashes.get(2).unwrap(), Some([0; 32]));
        assert_eq!(hashes.get(3 * WINDOW).unwrap(), None);
    }

    #[test]
    fn zeros_hash_as_zeros_do() {
        let mut zeros = ZeroHash::default();
        for len in [0, 1, 4096, 100_000, 4096] {
            assert_eq!(zeros.of(len), hash(&vec![0; len as usize]));
        }
    }
}
