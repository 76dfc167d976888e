// SPDX-License-Identifier: GPL-3.0-or-later
//! Batches of units go into the image, and what they replace into the undo stream.
//!
//! For each batch: what the image holds is appended to the undo stream, that is made durable, then it is overwritten. A unit
//! that is what it was already is left alone.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

use super::assemble::Content;
use super::file::RepoFile;
use super::geometry::Geometry;
use super::hashes::{Hashes, UnitHash, hash};
use super::overwrite::Overwriter;
use super::undo::{BATCH_BYTES, UndoWriter};
use super::verify::is_unreadable;
use crate::runs::{BlockSet, Run};
use crate::units::Extent;

/// Units, what they are to hold, and what that hashes to.
pub type Batch = BTreeMap<u64, (Content, UnitHash)>;

/// Image, hashes and undo stream while a stream goes into them.
pub struct Store {
    /// As it was at the last point; `None` for a first copy.
    pub before: Option<Geometry>,
    /// As it is to be.
    pub geometry: Geometry,
    /// The image.
    pub mirror: Overwriter,
    /// Of its units.
    pub hashes: Hashes,
    /// What leads back.
    pub undo: Option<UndoWriter>,
    /// Units that are not as they were. What those of the last point held is in the undo stream.
    pub changed: BlockSet,
    /// Whether what comes may be what the image should hold and does not.
    pub mends: bool,
    /// Units that were damaged, and are what they were again.
    pub mended: u64,
}

impl Store {
    /// Image and hashes get the size of the stream's device. Returns the units that begin or end elsewhere now, and what they
    /// are to hold: of the last one what it held up to the old end, and zeros.
    pub fn resize(&mut self) -> anyhow::Result<impl Iterator<Item = (u64, Content)> + use<>> {
        let run = self.before.map_or(Run { begin: 0, end: 0 }, |before| before.resized(&self.geometry));
        let mut bytes = 0;
        for unit in run.begin..run.end {
            bytes += self.save(unit)?;
            if bytes >= BATCH_BYTES {
                self.barrier()?;
                bytes = 0;
            }
        }
        self.barrier()?;
        // At most one unit was there before, and is shorter or longer now.
        let there = self.before.map_or(0, |before| before.units()).min(self.geometry.units());
        let last = there.checked_sub(1).filter(|unit| (run.begin..run.end).contains(unit));
        let last = last.map(|unit| Ok::<_, anyhow::Error>((unit, self.cut(unit)?))).transpose()?;
        let image = &self.mirror.image;
        if image.can_grow() {
            image.set_len(self.geometry.device_bytes)?;
        } else if image.len()? < self.geometry.device_bytes {
            bail!(
                "{}: has {} bytes, the device of the stream {}; put the image on a larger device",
                image.path().display(),
                image.len()?,
                self.geometry.device_bytes
            );
        }
        self.hashes.set_units(self.geometry.units())?;
        let new = there.max(run.begin)..run.end.min(self.geometry.units());
        Ok(last.into_iter().chain(new.map(|unit| (unit, Content::Zeros))))
    }

    /// What a unit held, cut or lengthened to what it is now.
    fn cut(&self, unit: u64) -> anyhow::Result<Content> {
        let extent = self.before.map_or(self.geometry.extent(unit), |before| before.extent(unit));
        let mut bytes = vec![0; usize::try_from(extent.len)?];
        self.mirror.image.read(&mut bytes, extent.offset)?;
        check_base(&self.mirror.image, &self.hashes, unit, extent, &bytes)?;
        bytes.resize(usize::try_from(self.geometry.extent(unit).len)?, 0);
        Ok(Content::Data(bytes))
    }

    fn buffer(&self, unit: u64) -> anyhow::Result<Vec<u8>> {
        Ok(vec![0; usize::try_from(self.geometry.extent(unit).len)?])
    }

    /// Takes a batch.
    pub fn take(&mut self, mut batch: Batch) -> anyhow::Result<()> {
        self.leave_alone(&mut batch)?;
        for &unit in batch.keys() {
            self.save(unit)?;
        }
        self.barrier()?;
        let mut zeros: Option<Extent> = None;
        let mut hashes = Vec::with_capacity(batch.len());
        for (unit, (content, hash)) in batch {
            let extent = self.geometry.extent(unit);
            match content {
                Content::Zeros => match &mut zeros {
                    Some(run) if run.end() == extent.offset => run.len += extent.len,
                    _ => self.zero(zeros.replace(extent))?,
                },
                Content::Data(bytes) => self.mirror.write(extent.offset, &bytes)?,
            }
            hashes.push((unit, hash));
            self.changed.insert(Run { begin: unit, end: unit + 1 });
        }
        self.zero(zeros)?;
        self.hashes.set(&hashes)
    }

    fn zero(&mut self, extent: Option<Extent>) -> anyhow::Result<()> {
        extent.map_or(Ok(()), |extent| self.mirror.zero(extent))
    }

    /// Takes out of a batch what is there already. Of a first copy that was interrupted nothing is known to be durable.
    fn leave_alone(&mut self, batch: &mut Batch) -> anyhow::Result<()> {
        if self.before.is_none() {
            return Ok(());
        }
        let mut same = Vec::new();
        for (&unit, (content, hash)) in &*batch {
            if self.hashes.get(unit)? == Some(*hash) {
                self.mend(unit, content, *hash)?;
                same.push(unit);
            }
        }
        for unit in same {
            batch.remove(&unit);
        }
        Ok(())
    }

    /// What a unit is to hold is what it held at the last point, as its hash says. If the image has something else by now, it
    /// was damaged, and is made what it was: right for the last point as for the next, so that nothing has to be undone.
    fn mend(&mut self, unit: u64, content: &Content, expected: UnitHash) -> anyhow::Result<()> {
        if !self.mends {
            return Ok(());
        }
        let extent = self.geometry.extent(unit);
        let mut bytes = self.buffer(unit)?;
        match self.mirror.image.read(&mut bytes, extent.offset) {
            Ok(()) if hash(&bytes) == expected => return Ok(()),
            Ok(()) => {}
            Err(e) if is_unreadable(&e) => {}
            Err(e) => return Err(e),
        }
        self.mended += 1;
        match content {
            Content::Data(bytes) => self.mirror.write(extent.offset, bytes),
            Content::Zeros => self.mirror.zero(extent),
        }
    }

    /// Appends what a unit holds to the undo stream, if it is not there yet; returns how many bytes that are.
    fn save(&mut self, unit: u64) -> anyhow::Result<u64> {
        let (Some(undo), Some(before)) = (&mut self.undo, self.before) else { return Ok(0) };
        if unit >= before.units() || self.changed.contains(unit) {
            return Ok(0);
        }
        let extent = before.extent(unit);
        let mut bytes = vec![0; usize::try_from(extent.len)?];
        match self.mirror.image.read(&mut bytes, extent.offset) {
            // It is lost. Its hash is kept, so that older points know that they do not have it.
            Err(e) if self.mends && is_unreadable(&e) => bytes.fill(0),
            result => result.context(UNREADABLE)?,
        }
        let hash = self.hashes.get(unit)?.with_context(|| {
            format!("the file of hashes ends before unit {unit}; era verify says what is damaged")
        })?;
        undo.save(unit, hash, extent, &bytes)?;
        self.changed.insert(Run { begin: unit, end: unit + 1 });
        Ok(extent.len)
    }

    fn barrier(&mut self) -> anyhow::Result<()> {
        self.undo.as_mut().map_or(Ok(()), UndoWriter::barrier)
    }

    /// All batches are there: makes them durable, and what leads back. Returns the bytes that the latter takes.
    pub fn finish(&mut self) -> anyhow::Result<u64> {
        let held_bytes = self.undo.take().map_or(Ok(0), UndoWriter::finish)?;
        self.mirror.image.sync()?;
        self.hashes.sync()?;
        Ok(held_bytes)
    }
}

/// What stands before an error of the disk that the image is on.
const UNREADABLE: &str = "what is to be overwritten cannot be read (era verify REPO SOURCE --repair gives it up, and gets \
                          what the device has)";

/// Bytes that a unit keeps a part of must be what they were: with a hash made anew, damage would be taken for what the device
/// has.
pub fn check_base(
    image: &RepoFile,
    hashes: &Hashes,
    unit: u64,
    extent: Extent,
    bytes: &[u8],
) -> anyhow::Result<()> {
    if hashes.get(unit)? == Some(hash(bytes)) {
        return Ok(());
    }
    bail!(
        "{}: bytes {} to {} are not what they were, and the stream has only a part of them; era verify REPO SOURCE \
         --repair gets back what the device still has",
        image.path().display(),
        extent.offset,
        extent.end()
    )
}
