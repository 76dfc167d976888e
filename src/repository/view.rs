// SPDX-License-Identifier: GPL-3.0-or-later
//! A point in time, read through the undo streams between it and the image.
//!
//! A unit is as the first undo stream from the point on has it, or else as the image has it. A run that adds a point may
//! be under way: before it overwrites a unit of the image, its undo stream, the *journal*, has the unit, and the index of
//! that says so. So the image is read first, and then the journal is asked whether what was read may be newer than the
//! point.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::file::RepoFile;
use super::geometry::Geometry;
use super::hashes::{Hashes, UnitHash, hash};
use super::layout;
use super::manifest::{Manifest, Point};
use super::points::{Selector, find};
use super::undo::index::Entry;
use super::undo::{Undo, index_of};

/// A point, open for reading. The repository must be held open for as long.
#[derive(Debug)]
pub struct View {
    repository: PathBuf,
    /// The point.
    pub point: Point,
    geometry: Geometry,
    /// From the point on: each leads back to the one before it.
    undos: Vec<Undo>,
    /// The manifest that they are of, and the file that it was in, still open.
    manifest: Manifest,
    manifest_file: File,
    /// The undo stream that is being made.
    journal: Option<Undo>,
    image: RepoFile,
    hashes: Hashes,
}

impl View {
    /// Opens a point.
    pub fn open(repository: &Path, selector: Selector) -> anyhow::Result<Self> {
        let (manifest, manifest_file) = read_manifest(repository)?;
        let at = find(&manifest.points, selector).with_context(|| repository.display().to_string())?;
        let point = manifest.points[at].clone();
        let mut view = Self {
            repository: repository.to_owned(),
            geometry: Geometry::new(point.device_bytes, manifest.unit_bytes)?,
            undos: Vec::new(),
            manifest_file,
            journal: None,
            image: RepoFile::open_to_read(&layout::image(repository))?,
            hashes: Hashes::open_to_read(&layout::hashes(repository))?,
            manifest: manifest.clone(),
            point,
        };
        view.add_undos(&manifest, view.point.id)?;
        Ok(view)
    }

    /// How it is divided up.
    pub fn geometry(&self) -> Geometry {
        self.geometry
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

    /// Adds the undo streams that lead back to a point and to those after it.
    fn add_undos(&mut self, manifest: &Manifest, from: u64) -> anyhow::Result<()> {
        let known = manifest.points.iter().position(|point| point.id == from);
        let known =
            known.with_context(|| format!("{}: point {from} was taken away", self.repository.display()))?;
        for pair in manifest.points[known..].windows(2) {
            let path = layout::undo(&self.repository, pair[0].id, pair[1].id);
            let geometry = Geometry::new(pair[0].device_bytes, manifest.unit_bytes)?;
            self.undos.push(Undo::open(&path, geometry)?);
        }
        Ok(())
    }

    /// Fills the buffer with a unit, whose length it must have. Returns what the bytes must hash to: whether they do is
    /// for the caller to see.
    pub fn read(&mut self, unit: u64, buf: &mut [u8]) -> anyhow::Result<UnitHash> {
        if let Some(hash) = self.read_undone(0, unit, buf)? {
            return Ok(hash);
        }
        let found = self.read_image(unit, buf);
        let known = self.undos.len();
        self.catch_up()?;
        if let Some(hash) = self.read_undone(known, unit, buf)? {
            return Ok(hash);
        }
        if let Some(journal) = &mut self.journal
            && let Some(entry) = journal.find(unit)?
        {
            journal.read(&entry, buf)?;
            return Ok(entry.hash);
        }
        found
    }

    /// The same, checked.
    pub fn read_checked(&mut self, unit: u64, buf: &mut [u8]) -> anyhow::Result<()> {
        let expected = self.read(unit, buf)?;
        if hash(buf) != expected {
            let extent = self.geometry.extent(unit);
            bail!(
                "{}: point {}: bytes {} to {} are not what they were: the repository is damaged; era verify says how \
                 much of it",
                self.repository.display(),
                self.point.id,
                extent.offset,
                extent.end()
            );
        }
        Ok(())
    }

    /// What a unit must hash to.
    pub fn hash(&mut self, unit: u64) -> anyhow::Result<UnitHash> {
        if let Some((_, entry)) = self.find_undone(0, unit)? {
            return Ok(entry.hash);
        }
        let of_image = self.hash_of_image(unit);
        let known = self.undos.len();
        self.catch_up()?;
        if let Some((_, entry)) = self.find_undone(known, unit)? {
            return Ok(entry.hash);
        }
        match self.journal.as_ref().map(|journal| journal.find(unit)).transpose()?.flatten() {
            Some(entry) => Ok(entry.hash),
            None => of_image,
        }
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
        self.undos[at].read(&entry, buf)?;
        Ok(Some(entry.hash))
    }

    fn read_image(&self, unit: u64, buf: &mut [u8]) -> anyhow::Result<UnitHash> {
        self.image.read(buf, self.geometry.extent(unit).offset)?;
        self.hash_of_image(unit)
    }

    fn hash_of_image(&self, unit: u64) -> anyhow::Result<UnitHash> {
        self.hashes.get(unit)?.with_context(|| {
            format!("{}: the file of hashes ends before unit {unit}", self.repository.display())
        })
    }

    /// Looks for what another process has done meanwhile.
    fn catch_up(&mut self) -> anyhow::Result<()> {
        if is_replaced(&self.manifest_file)? {
            let (manifest, file) = read_manifest(&self.repository)?;
            let last = self.manifest.points.last().map_or(0, |point| point.id);
            self.add_undos(&manifest, last)?;
            (self.manifest, self.manifest_file, self.journal) = (manifest, file, None);
        }
        if let Some(journal) = &mut self.journal {
            if !journal.is_removed()? {
                return journal.refresh();
            }
            self.journal = None;
        }
        let Some(last) = self.manifest.last() else { return Ok(()) };
        let path = layout::undo(&self.repository, last.id, self.manifest.next_id);
        if index_of(&path).exists() {
            let geometry = Geometry::new(last.device_bytes, self.manifest.unit_bytes)?;
            self.journal = Some(Undo::open_growing(&path, geometry)?);
        }
        Ok(())
    }
}

/// Whether another file, or none, has the name by now. Its number would not tell: it may be used again.
fn is_replaced(file: &File) -> anyhow::Result<bool> {
    Ok(file.metadata().context("cannot look at the manifest")?.nlink() == 0)
}

fn read_manifest(repository: &Path) -> anyhow::Result<(Manifest, File)> {
    let path = layout::manifest(repository);
    loop {
        let file =
            File::open(&path).with_context(|| format!("{}: there is no repository", repository.display()))?;
        let manifest = Manifest::read(repository)?;
        // Else it was replaced in between.
        if let Some(manifest) = manifest.filter(|_| matches!(is_replaced(&file), Ok(false))) {
            return Ok((manifest, file));
        }
    }
}
