// SPDX-License-Identifier: GPL-3.0-or-later
//! Where in an undo stream each unit is, and what it must hash to.
//!
//! The file is a row of *runs*, each sorted by unit. While a stream is received, every batch appends a run; at the end they
//! are merged into one. A unit is in one run only. It is searched on disk: memory is for one page a run that is being
//! merged, and for the place of each run.
//!
//! | offset | size | field of a run |
//! | --- | --- | --- |
//! | 0 | 8 | `ERARUN1` and byte 8e |
//! | 8 | 8 | number of entries, not 0 |
//! | 16 | 4 | CRC-32C of the entries |
//! | 20 | 8 | reserved, 0 |
//! | 28 | 4 | CRC-32C of bytes 0 to 27 |
//! | 32 | 48 × n | entries |
//!
//! | offset | size | field of an entry |
//! | --- | --- | --- |
//! | 0 | 8 | unit |
//! | 8 | 8 | offset in the undo stream of the record in which it begins, or of one before that |
//! | 16 | 32 | BLAKE3 of its bytes |

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::repository::file::{self, RepoFile};
use crate::repository::hashes::UnitHash;

const MAGIC: [u8; 8] = *b"ERARUN1\x8e";
const HEAD_BYTES: u64 = 32;
const ENTRY_BYTES: usize = 48;

/// Entries read at once.
const PAGE: u64 = 85;

/// Runs merged at once.
const FAN_IN: usize = 256;

/// Entries that a run being written collects before it writes them.
const WRITE_ENTRIES: usize = 8192;

/// One unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The unit.
    pub unit: u64,
    /// Where in the stream to begin to look for it.
    pub at: u64,
    /// What its bytes hash to.
    pub hash: UnitHash,
}

impl Entry {
    fn pack(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.unit.to_le_bytes());
        out.extend_from_slice(&self.at.to_le_bytes());
        out.extend_from_slice(&self.hash);
    }

    fn unpack(bytes: &[u8]) -> Self {
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(number)
        };
        let mut hash = [0; 32];
        hash.copy_from_slice(&bytes[16..ENTRY_BYTES]);
        Self { unit: number(0), at: number(8), hash }
    }
}

/// Where a run is.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Of its first entry.
    offset: u64,
    entries: u64,
    first: u64,
    last: u64,
}

/// An index that is read, and may grow meanwhile.
#[derive(Debug)]
pub struct Index {
    file: RepoFile,
    runs: Vec<Place>,
    /// Runs before this are known.
    known: u64,
    /// Whether it may be written meanwhile, or have been when the power failed: then runs are checked when they are met.
    growing: bool,
    page: RefCell<Page>,
}

/// What was read last: neighbours are asked for one after another.
#[derive(Debug, Default)]
struct Page {
    offset: u64,
    entries: Vec<Entry>,
}

impl Index {
    /// Opens an index that is whole.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Self::open_as(path, false)
    }

    /// Opens an index that may grow, or of which a crash may have left a part.
    pub fn open_growing(path: &Path) -> anyhow::Result<Self> {
        Self::open_as(path, true)
    }

    fn open_as(path: &Path, growing: bool) -> anyhow::Result<Self> {
        let file = RepoFile::open_to_read(path)?;
        let mut index = Self { file, runs: Vec::new(), known: 0, growing, page: RefCell::default() };
        index.refresh()?;
        Ok(index)
    }

    /// Looks for runs that were added. What is no whole run is left for the next time: it may become one.
    pub fn refresh(&mut self) -> anyhow::Result<()> {
        let len = self.file.len()?;
        while self.known + HEAD_BYTES < len {
            let mut head = [0; 32];
            self.file.read(&mut head, self.known)?;
            let Some(entries) = check_head(&head) else { break };
            let bytes =
                entries.checked_mul(ENTRY_BYTES as u64).filter(|&bytes| bytes <= i64::MAX.cast_unsigned());
            let offset = self.known + HEAD_BYTES;
            let Some(end) = bytes.map(|bytes| offset + bytes).filter(|&end| end <= len) else { break };
            if self.growing && !self.is_sound(offset, end, &head)? {
                // A run is durable before the next one is begun: only the last can be torn.
                if end < len {
                    bail!("{}: the index is damaged", self.file.path().display());
                }
                break;
            }
            let (first, last) = (self.entry(offset)?.unit, self.entry(end - ENTRY_BYTES as u64)?.unit);
            self.runs.push(Place { offset, entries, first, last });
            self.known = end;
        }
        Ok(())
    }

    /// Whether the entries of a run are those that its head was made for.
    fn is_sound(&self, mut offset: u64, end: u64, head: &[u8; 32]) -> anyhow::Result<bool> {
        let (mut crc, mut bytes) = (0, vec![0; WRITE_ENTRIES * ENTRY_BYTES]);
        while offset < end {
            let len = usize::try_from(end - offset)?.min(bytes.len());
            self.file.read(&mut bytes[..len], offset)?;
            crc = crc32c::crc32c_append(crc, &bytes[..len]);
            offset += len as u64;
        }
        Ok(head[16..20] == crc.to_le_bytes())
    }

    fn entry(&self, offset: u64) -> anyhow::Result<Entry> {
        let mut bytes = [0; ENTRY_BYTES];
        self.file.read(&mut bytes, offset)?;
        Ok(Entry::unpack(&bytes))
    }

    /// Whether whatever was written is whole: nothing of a run that is not.
    pub fn is_whole(&self) -> anyhow::Result<bool> {
        Ok(self.known == self.file.len()?)
    }

    /// Whether it has no name any more.
    pub fn is_removed(&self) -> anyhow::Result<bool> {
        self.file.is_removed()
    }

    /// Number of units in it.
    pub fn units(&self) -> u64 {
        self.runs.iter().map(|run| run.entries).sum()
    }

    /// Looks a unit up.
    pub fn find(&self, unit: u64) -> anyhow::Result<Option<Entry>> {
        for run in self.runs.iter().filter(|run| (run.first..=run.last).contains(&unit)) {
            if let Some(entry) = self.find_in(run, unit)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    fn find_in(&self, run: &Place, unit: u64) -> anyhow::Result<Option<Entry>> {
        // Whole pages are compared by their first entries.
        let (mut low, mut high) = (0, run.entries.div_ceil(PAGE));
        {
            let page = self.page.borrow();
            let (first, last) = (page.entries.first(), page.entries.last());
            if page.offset >= run.offset
                && page.offset < run.offset + run.entries * ENTRY_BYTES as u64
                && first.is_some_and(|entry| entry.unit <= unit)
                && last.is_some_and(|entry| unit <= entry.unit)
            {
                return Ok(search(&page.entries, unit));
            }
        }
        while high - low > 1 {
            let middle = low.midpoint(high);
            if self.entry(run.offset + middle * PAGE * ENTRY_BYTES as u64)?.unit <= unit {
                low = middle;
            } else {
                high = middle;
            }
        }
        let entries = self.read_page(run, low * PAGE)?;
        let found = search(&entries, unit);
        let offset = run.offset + low * PAGE * ENTRY_BYTES as u64;
        *self.page.borrow_mut() = Page { offset, entries };
        Ok(found)
    }

    fn read_page(&self, run: &Place, from: u64) -> anyhow::Result<Vec<Entry>> {
        let count = usize::try_from((run.entries - from).min(PAGE))?;
        let mut bytes = vec![0; count * ENTRY_BYTES];
        self.file.read(&mut bytes, run.offset + from * ENTRY_BYTES as u64)?;
        Ok(bytes.chunks_exact(ENTRY_BYTES).map(Entry::unpack).collect())
    }

    /// All entries in the order of units. Each run's checksum is checked on the way, and that no unit is there twice.
    pub fn entries(&self) -> anyhow::Result<Entries<'_>> {
        Entries::new(self, 0..self.runs.len())
    }

    /// Leaves one run in the place of many.
    pub fn merged(self) -> anyhow::Result<()> {
        let path = self.file.path().to_owned();
        let mut index = self;
        while index.runs.len() > 1 {
            let new = with_suffix(&path, ".merging");
            let mut writer = Writer::create(&new)?;
            for from in (0..index.runs.len()).step_by(FAN_IN) {
                let to = (from + FAN_IN).min(index.runs.len());
                let count = index.runs[from..to].iter().map(|run| run.entries).sum();
                writer.append_all(count, Entries::new(&index, from..to)?)?;
            }
            writer.file.sync()?;
            file::rename(&new, &path)?;
            if let Some(directory) = path.parent() {
                file::sync_dir(directory)?;
            }
            index = Self::open(&path)?;
        }
        Ok(())
    }
}

/// The number of entries, if this is the head of a run.
fn check_head(head: &[u8; 32]) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| {
        head[range].iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte))
    };
    let entries = number(8..16);
    let is_head =
        head[..8] == MAGIC && number(28..32) == u64::from(crc32c::crc32c(&head[..28])) && entries > 0;
    is_head.then_some(entries)
}

fn search(entries: &[Entry], unit: u64) -> Option<Entry> {
    entries.binary_search_by_key(&unit, |entry| entry.unit).ok().map(|at| entries[at])
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The entries of several runs, merged.
pub struct Entries<'a> {
    index: &'a Index,
    cursors: Vec<Cursor>,
    heap: BinaryHeap<Reverse<(u64, usize)>>,
    before: Option<u64>,
}

struct Cursor {
    run: usize,
    page: std::vec::IntoIter<Entry>,
    next: Option<Entry>,
    /// Entries read so far, and their checksum.
    read: u64,
    crc: u32,
}

impl<'a> Entries<'a> {
    fn new(index: &'a Index, runs: std::ops::Range<usize>) -> anyhow::Result<Self> {
        let mut entries = Self { index, cursors: Vec::new(), heap: BinaryHeap::new(), before: None };
        for run in runs {
            entries.cursors.push(Cursor { run, page: Vec::new().into_iter(), next: None, read: 0, crc: 0 });
            entries.step(entries.cursors.len() - 1)?;
        }
        Ok(entries)
    }

    /// Moves a cursor on.
    fn step(&mut self, at: usize) -> anyhow::Result<()> {
        let cursor = &mut self.cursors[at];
        let run = self.index.runs[cursor.run];
        let mut next = cursor.page.next();
        if next.is_none() && cursor.read < run.entries {
            let page = self.index.read_page(&run, cursor.read)?;
            cursor.read += page.len() as u64;
            let mut bytes = Vec::new();
            page.iter().for_each(|entry| entry.pack(&mut bytes));
            cursor.crc = crc32c::crc32c_append(cursor.crc, &bytes);
            cursor.page = page.into_iter();
            next = cursor.page.next();
            if cursor.read == run.entries {
                let mut stored = [0; 4];
                self.index.file.read(&mut stored, run.offset - HEAD_BYTES + 16)?;
                if u32::from_le_bytes(stored) != cursor.crc {
                    bail!("{}: byte {}: the index is damaged", self.index.file.path().display(), run.offset);
                }
            }
        }
        cursor.next = next;
        if let Some(entry) = next {
            self.heap.push(Reverse((entry.unit, at)));
        }
        Ok(())
    }

    fn next_entry(&mut self) -> anyhow::Result<Option<Entry>> {
        let Some(Reverse((unit, at))) = self.heap.pop() else { return Ok(None) };
        let entry = self.cursors[at].next.context("the index ends early")?;
        if self.before.is_some_and(|before| before >= unit) {
            bail!("{}: unit {unit} is out of order: the index is damaged", self.index.file.path().display());
        }
        self.before = Some(unit);
        self.step(at)?;
        Ok(Some(entry))
    }
}

impl Iterator for Entries<'_> {
    type Item = anyhow::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_entry().transpose()
    }
}

/// An index that is written.
#[derive(Debug)]
pub struct Writer {
    file: RepoFile,
    end: u64,
}

impl Writer {
    /// Begins an index.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { file: RepoFile::create(path)?, end: 0 })
    }

    /// Appends a run. Whoever reads the file sees all of it, or nothing.
    pub fn append(&mut self, entries: &mut [Entry]) -> anyhow::Result<()> {
        entries.sort_unstable();
        let all = entries.iter().copied().map(Ok);
        self.append_all(entries.len() as u64, all)
    }

    /// Appends `count` entries that are sorted as one run.
    pub fn append_all(
        &mut self,
        count: u64,
        entries: impl Iterator<Item = anyhow::Result<Entry>>,
    ) -> anyhow::Result<()> {
        if count == 0 {
            return Ok(());
        }
        let (mut offset, mut crc, mut written) = (self.end + HEAD_BYTES, 0, 0);
        let mut bytes = Vec::new();
        let mut entries = entries.peekable();
        while let Some(entry) = entries.next() {
            entry?.pack(&mut bytes);
            written += 1;
            if bytes.len() == WRITE_ENTRIES * ENTRY_BYTES || entries.peek().is_none() {
                crc = crc32c::crc32c_append(crc, &bytes);
                self.file.write(&bytes, offset)?;
                offset += bytes.len() as u64;
                bytes.clear();
            }
        }
        if written != count {
            bail!("{}: {written} entries where {count} must be", self.file.path().display());
        }
        // The head last: what stands there until then is a hole, or the end of the file.
        let mut head = [0; 32];
        head[..8].copy_from_slice(&MAGIC);
        head[8..16].copy_from_slice(&count.to_le_bytes());
        head[16..20].copy_from_slice(&crc.to_le_bytes());
        let own = crc32c::crc32c(&head[..28]);
        head[28..].copy_from_slice(&own.to_le_bytes());
        self.file.write(&head, self.end)?;
        self.end = offset;
        Ok(())
    }

    /// Makes it durable.
    pub fn sync(&self) -> anyhow::Result<()> {
        self.file.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::hashes::hash;

    fn entry(unit: u64) -> Entry {
        Entry { unit, at: unit * 7, hash: hash(&unit.to_le_bytes()) }
    }

    fn index(runs: &[Vec<u64>]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let mut writer = Writer::create(&path).unwrap();
        for run in runs {
            writer.append(&mut run.iter().map(|&unit| entry(unit)).collect::<Vec<_>>()).unwrap();
        }
        (dir, path)
    }

    #[test]
    fn units_are_found_in_any_run_before_and_after_merging() {
        let units: Vec<u64> = (0..3000).map(|i| i * 3 + i % 2).collect();
        let mut runs = vec![Vec::new(); 300];
        units.iter().for_each(|&unit| runs[(unit % 300) as usize].push(unit));
        runs.push((100_000..100_200).rev().collect());
        let (_dir, path) = index(&runs);
        let mut all = units;
        all.extend(100_000..100_200);
        for _ in 0..2 {
            let index = Index::open(&path).unwrap();
            assert!(index.is_whole().unwrap());
            assert_eq!(index.units(), 3200);
            for unit in (0..9100).chain(99_990..100_210) {
                assert_eq!(index.find(unit).unwrap(), all.contains(&unit).then(|| entry(unit)), "{unit}");
            }
            let found: Vec<u64> = index.entries().unwrap().map(|e| e.unwrap().unit).collect();
            assert_eq!(found, all);
            index.merged().unwrap();
        }
        assert_eq!(Index::open(&path).unwrap().runs.len(), 1);
    }

    #[test]
    fn a_run_that_is_not_whole_is_left_for_later() {
        let (_dir, path) = index(&[vec![1, 2], vec![3]]);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let mut index = Index::open(&path).unwrap();
        assert_eq!((index.units(), index.is_whole().unwrap()), (2, false));
        std::fs::write(&path, &bytes).unwrap();
        index.refresh().unwrap();
        assert_eq!((index.units(), index.is_whole().unwrap()), (3, true));
    }

    #[test]
    fn damage_is_found() {
        let (_dir, path) = index(&[(0..200).collect()]);
        let bytes = std::fs::read(&path).unwrap();
        for at in [0, 9, 17, 30, 32, 40, 60, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            let result = Index::open(&path).and_then(|index| {
                if !index.is_whole()? {
                    bail!("not whole");
                }
                index.entries()?.collect::<anyhow::Result<Vec<_>>>()
            });
            assert!(result.is_err(), "{at}");
        }
    }

    #[test]
    fn a_unit_in_two_runs_is_damage() {
        let (_dir, path) = index(&[vec![1, 2], vec![2]]);
        assert!(Index::open(&path).unwrap().entries().unwrap().any(|entry| entry.is_err()));
    }
}
