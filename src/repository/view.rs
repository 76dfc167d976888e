// SPDX-License-Identifier: GPL-3.0-or-later
//! A point in time, read through the undo streams between it and the image.
//!
//! A unit is as the first undo stream from the point on has it, or else as the image has it. A run that adds a point may
//! be under way: before it overwrites a unit of the image, its undo stream, the *journal*, has the unit, and the index of
//! that says so. So the image is read first, and then the journal is asked whether what was read may be newer than the
//! point.

use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::{Context, bail};
use rustix::process::{Resource, getrlimit, setrlimit};

use super::current::Current;
use super::file::RepoFile;
use super::geometry::Geometry;
use super::hashes::{Hashes, Missing, UnitHash, hash};
use super::layout;
use super::manifest::{Manifest, Point};
use super::points::{Selector, find};
use super::undo::Undo;
use super::undo::index::Entry;
use crate::units::Extent;

/// A point, open for reading. The repository must be held open for as long.
#[derive(Debug)]
pub struct View {
    repository: PathBuf,
    /// The point.
    pub point: Point,
    geometry: Geometry,
    /// From the point on: each leads back to the one before it.
    undos: Vec<Undo>,
    /// The one of them that was read last.
    last_read: usize,
    /// The manifest that they are of.
    current: Current,
    /// The undo stream that is being made.
    journal: Option<Undo>,
    image: RepoFile,
    hashes: Hashes,
}

impl View {
    /// Opens a point.
    pub fn open(repository: &Path, selector: Selector) -> anyhow::Result<Self> {
        allow_many_files();
        let current = Current::read(repository)?;
        let points = &current.manifest.points;
        let at = find(points, selector).with_context(|| repository.display().to_string())?;
        let point = points[at].clone();
        let mut view = Self {
            repository: repository.to_owned(),
            geometry: Geometry::new(point.device_bytes, current.manifest.unit_bytes)?,
            undos: Vec::new(),
            last_read: 0,
            journal: None,
            image: RepoFile::open_to_read(&layout::image(repository))?,
            hashes: Hashes::open_to_read(&layout::hashes(repository))?,
            current,
            point,
        };
        view.undos = view.open_undos(&view.current.manifest, view.point.id)?;
        Ok(view)
    }

    /// The repository that it is of.
    pub(super) fn repository(&self) -> &Path {
        &self.repository
    }

    /// How it is divided up.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// How many undo streams it has open, with two files each.
    pub fn undo_streams(&self) -> usize {
        self.undos.len()
    }

    /// Units that are not as in the image, from each undo stream, in the order of its index.
    pub fn changed_since(&self) -> impl Iterator<Item = anyhow::Result<u64>> + '_ {
        self.undos.iter().flat_map(|undo| {
            let (entries, error) = match undo.entries() {
                Ok(entries) => (Some(entries), None),
                Err(e) => (None, Some(Err(e))),
            };
            entries.into_iter().flatten().map(|entry| entry.map(|entry| entry.unit)).chain(error)
        })
    }

    /// Opens the undo streams that lead back to a point and to those after it.
    fn open_undos(&self, manifest: &Manifest, from: u64) -> anyhow::Result<Vec<Undo>> {
        let known = manifest.points.iter().position(|point| point.id == from);
        let known =
            known.with_context(|| format!("{}: point {from} was taken away", self.repository.display()))?;
        let open = |pair: &[Point]| {
            let path = layout::undo(&self.repository, pair[0].id, pair[1].id);
            Undo::open(&path, Geometry::new(pair[0].device_bytes, manifest.unit_bytes)?)
        };
        manifest.points[known..].windows(2).map(open).collect()
    }

    /// Fills the buffer with a unit, whose length it must have. Returns what the bytes must hash to: whether they do is
    /// for the caller to see.
    pub fn read(&mut self, unit: u64, buf: &mut [u8]) -> anyhow::Result<UnitHash> {
        let found = loop {
            if let Some(hash) = self.read_undone(0, unit, buf)? {
                return Ok(hash);
            }
            let found = self.read_image(unit, buf);
            if !self.catch_up()? {
                break found;
            }
        };
        match self.journaled(unit)? {
            Some((bytes, hash)) => {
                buf.copy_from_slice(&bytes);
                Ok(hash)
            }
            None => found,
        }
    }

    /// What a unit was, if the run that is under way has overwritten it, or is about to.
    pub(super) fn journaled(&mut self, unit: u64) -> anyhow::Result<Option<(Vec<u8>, UnitHash)>> {
        let Some(journal) = &mut self.journal else { return Ok(None) };
        let Some(entry) = journal.find(unit)? else { return Ok(None) };
        let mut bytes = vec![0; usize::try_from(self.geometry.extent(unit).len)?];
        journal.read(&entry, &mut bytes)?;
        Ok(Some((bytes, entry.hash)))
    }

    /// The same, checked.
    pub fn read_checked(&mut self, unit: u64, buf: &mut [u8]) -> anyhow::Result<()> {
        let (extent, what) = (self.geometry.extent(unit), self.describe());
        let expected = self.read(unit, buf).with_context(|| place(&what, extent))?;
        check(hash(buf), expected, &what, extent)
    }

    /// How messages call it.
    pub(super) fn describe(&self) -> String {
        format!("{}: point {}", self.repository.display(), self.point.id)
    }

    /// What a unit must hash to.
    pub fn hash(&mut self, unit: u64) -> anyhow::Result<UnitHash> {
        let of_image = loop {
            if let Some((_, entry)) = self.find_undone(0, unit)? {
                return Ok(entry.hash);
            }
            let of_image = self.hash_of_image(unit);
            if !self.catch_up()? {
                break of_image;
            }
        };
        self.journaled_hash(unit)?.map_or(of_image, Ok)
    }

    /// What a unit hashes to that an undo stream has.
    pub(super) fn undone(&self, unit: u64) -> anyhow::Result<Option<UnitHash>> {
        Ok(self.find_undone(0, unit)?.map(|(_, entry)| entry.hash))
    }

    /// What a unit hashed to that the run that is under way may have overwritten.
    pub(super) fn journaled_hash(&self, unit: u64) -> anyhow::Result<Option<UnitHash>> {
        let found = self.journal.as_ref().map(|journal| journal.find(unit)).transpose()?.flatten();
        Ok(found.map(|entry| entry.hash))
    }

    /// To where the image has a hole that begins here: to here, if there is none.
    pub(super) fn hole_from(&self, offset: u64) -> anyhow::Result<u64> {
        Ok(self.image.next_data(offset)?.unwrap_or(u64::MAX))
    }

    fn find_undone(&self, from: usize, unit: u64) -> anyhow::Result<Option<(usize, Entry)>> {
        for (at, undo) in self.undos.iter().enumerate().skip(from) {
            if let Some(entry) = undo.find(unit)? {
                return Ok(Some((at, entry)));
            }
        }
        Ok(None)
    }

    fn read_undone(&mut self, from: usize, unit: u64, buf: &mut [u8]) -> anyhow::Result<Option<UnitHash>> {
        let Some((at, entry)) = self.find_undone(from, unit)? else { return Ok(None) };
        // Each keeps the record that it read last: one record for all of them is enough.
        if let Some(before) = self.undos.get_mut(self.last_read).filter(|_| self.last_read != at) {
            before.forget();
        }
        self.last_read = at;
        self.undos[at].read(&entry, buf)?;
        Ok(Some(entry.hash))
    }

    fn read_image(&self, unit: u64, buf: &mut [u8]) -> anyhow::Result<UnitHash> {
        self.image.read(buf, self.geometry.extent(unit).offset)?;
        self.hash_of_image(unit)
    }

    pub(super) fn hash_of_image(&self, unit: u64) -> anyhow::Result<UnitHash> {
        Ok(self.hashes.get(unit)?.ok_or(Missing)?)
    }

    /// Looks for what another process has done meanwhile. Returns whether what was read of image and hashes before may be
    /// of another time: a point was added, or a run was undone, which replaces the manifest as well.
    pub(super) fn catch_up(&mut self) -> anyhow::Result<bool> {
        let mut is_stale = false;
        if self.current.is_replaced()? {
            let last = self.current.manifest.last().map_or(0, |point| point.id);
            let current = Current::read(&self.repository)?;
            // All of this or nothing: with fewer undo streams than the manifest asks for, a newer unit would be taken for
            // that of the point.
            let undos = self.open_undos(&current.manifest, last)?;
            self.undos.extend(undos);
            (self.current, self.journal) = (current, None);
            is_stale = true;
        }
        if let Some(journal) = &mut self.journal {
            if !journal.is_removed()? {
                journal.refresh()?;
                return Ok(is_stale);
            }
            self.journal = None;
            is_stale = true;
        }
        if is_stale {
            self.hashes.refresh();
        }
        let manifest = &self.current.manifest;
        let Some(last) = manifest.last() else { return Ok(is_stale) };
        let path = layout::undo(&self.repository, last.id, manifest.next_id);
        let geometry = Geometry::new(last.device_bytes, manifest.unit_bytes)?;
        self.journal = Undo::open_growing(&path, geometry)?;
        // There is none, or another one: but one that is gone by now was there when the image was read, if the manifest was
        // replaced since.
        Ok(is_stale || self.current.is_replaced()?)
    }
}

/// Whether bytes of a view are what they must be.
pub(super) fn check(found: UnitHash, expected: UnitHash, what: &str, extent: Extent) -> anyhow::Result<()> {
    if found == expected {
        return Ok(());
    }
    bail!(
        "{} are not what they were: the repository is damaged; era verify says how much of it",
        place(what, extent)
    )
}

/// Where in what.
pub(super) fn place(what: &str, extent: Extent) -> String {
    format!("{what}: bytes {} to {}", extent.offset, extent.end())
}

/// A view of an old point has two files open for every later one: more than the 1024 that a process may have unless it
/// asks for more, as few programs need them.
fn allow_many_files() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        // Where that fails, opening a file may, and says so.
        let _ = setrlimit(Resource::Nofile, limit);
    });
}
