// SPDX-License-Identifier: GPL-3.0-or-later
//! Units of an undo stream, in any order.

use std::io;
use std::path::Path;

use anyhow::{Context, bail};

use super::index::{Entries, Entry, Index};
use super::index_of;
use crate::repository::file::RepoFile;
use crate::repository::geometry::Geometry;
use crate::stream::{Lone, read_record_at};
use crate::units::Extent;

/// An undo stream and its index.
#[derive(Debug)]
pub struct Undo {
    stream: RepoFile,
    index: Index,
    /// The size of the device that it leads back to, in units.
    geometry: Geometry,
    /// The record that was read last, and where it is: neighbours are mostly in one.
    last: Option<(u64, Lone)>,
}

impl Undo {
    /// Opens one that is whole.
    pub fn open(path: &Path, geometry: Geometry) -> anyhow::Result<Self> {
        let index = Index::open(&index_of(path))?;
        if !index.is_whole()? {
            bail!("{}: the index is damaged", index_of(path).display());
        }
        Ok(Self { stream: RepoFile::open_to_read(path)?, index, geometry, last: None })
    }

    /// Opens one that may be written meanwhile, or begun, or taken away. `None` where it is not there, as a whole.
    pub fn open_growing(path: &Path, geometry: Geometry) -> anyhow::Result<Option<Self>> {
        let Some(index) = if_there(Index::open_growing(&index_of(path)))? else { return Ok(None) };
        let Some(stream) = if_there(RepoFile::open_to_read(path))? else { return Ok(None) };
        let undo = Self { stream, index, geometry, last: None };
        // Stream and index of one run: an index that was taken away does not stand beside the stream of the next one.
        Ok(if undo.is_removed()? { None } else { Some(undo) })
    }

    /// Looks for what was added.
    pub fn refresh(&mut self) -> anyhow::Result<()> {
        self.index.refresh()
    }

    /// Whether it was taken away, and another may stand in its place.
    pub fn is_removed(&self) -> anyhow::Result<bool> {
        Ok(self.stream.is_removed()? || self.index.is_removed()?)
    }

    /// Where a unit is, if this has it.
    pub fn find(&self, unit: u64) -> anyhow::Result<Option<Entry>> {
        self.index.find(unit)
    }

    /// Number of units in it.
    pub fn units(&self) -> u64 {
        self.index.units()
    }

    /// All of them in order.
    pub fn entries(&self) -> anyhow::Result<Entries<'_>> {
        self.index.entries()
    }

    /// Reads the bytes of a unit; whether they are right is for the caller to see by their hash.
    pub fn read(&mut self, entry: &Entry, buf: &mut [u8]) -> anyhow::Result<()> {
        let extent = self.geometry.extent(entry.unit);
        debug_assert_eq!(buf.len() as u64, extent.len);
        let mut at = entry.at;
        let mut filled = 0;
        while filled < extent.len {
            let record = self.record(at)?;
            filled += fill(record, extent, buf)?;
            at = record.next;
        }
        Ok(())
    }

    /// Gives back the memory that makes reading neighbours faster.
    pub fn forget(&mut self) {
        self.last = None;
    }

    fn record(&mut self, at: u64) -> anyhow::Result<&Lone> {
        if self.last.as_ref().is_none_or(|(known, _)| *known != at) {
            let lone = read_record_at(&self.stream, at, self.geometry.device_bytes)
                .with_context(|| self.stream.path().display().to_string())?;
            self.last = Some((at, lone));
        }
        self.last.as_ref().map(|(_, lone)| lone).context("there is no record")
    }
}

/// What was opened, unless it is not there.
fn if_there<T>(opened: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    match opened {
        Err(e) if e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::NotFound) => {
            Ok(None)
        }
        opened => opened.map(Some),
    }
}

/// Copies what a record has of an extent; returns how many bytes that is.
fn fill(record: &Lone, wanted: Extent, buf: &mut [u8]) -> anyhow::Result<u64> {
    let mut filled = 0;
    for (extent, bytes) in &record.contents {
        let (begin, end) = (extent.offset.max(wanted.offset), extent.end().min(wanted.end()));
        if begin >= end {
            continue;
        }
        let target = &mut buf[usize::try_from(begin - wanted.offset)?..usize::try_from(end - wanted.offset)?];
        match bytes {
            Some(bytes) => {
                let from = usize::try_from(begin - extent.offset)?;
                target.copy_from_slice(&bytes[from..from + target.len()]);
            }
            None => target.fill(0),
        }
        filled += end - begin;
    }
    Ok(filled)
}
