// SPDX-License-Identifier: GPL-3.0-or-later
//! The changing half of receiving: units go into the image, batch by batch, what they replace into the undo stream.
//!
//! For each batch: what the units hold is appended to the undo stream, that is made durable, then they are overwritten.
//! A unit that is what it was already is left alone. At the end: undo stream, image and hashes are made durable, and then
//! the manifest says so.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use uuid::Uuid;

use super::assemble::{Content, Units};
use super::file;
use super::geometry::Geometry;
use super::hashes::{Hashes, UnitHash, ZeroHash, hash};
use super::layout;
use super::manifest::{Manifest, Point};
use super::open::Repository;
use super::overwrite::{Overwriter, check_whole};
use super::undo::{BATCH_BYTES, UndoWriter};
use super::verify::is_unreadable;
use crate::report;
use crate::runs::{BlockSet, Run};
use crate::stream::{Audit, Consistency, Header, Kind, Trailer, is_zero};
use crate::units::{Era, Extent};

/// Units in a batch, where they are small or hold zeros.
const BATCH_UNITS: usize = 8192;

/// Takes units.
pub struct Receiver {
    repository: Repository,
    manifest: Manifest,
    /// As it was at the last point; `None` for a first copy.
    before: Option<Geometry>,
    geometry: Geometry,
    mirror: Overwriter,
    hashes: Hashes,
    undo: Option<UndoWriter>,
    batch: BTreeMap<u64, (Content, UnitHash)>,
    batch_bytes: u64,
    zero_hash: ZeroHash,
    /// Units that are not as they were. What those of the last point held is in the undo stream.
    changed: BlockSet,
    /// What a stream of differences must have been compared with.
    base: Option<UnitHash>,
    /// Whether what comes may be what the image should hold and does not.
    mends: bool,
    /// Units that were damaged, and are what they were again.
    mended: u64,
    audit: Option<Audit>,
}

impl Receiver {
    /// Makes everything ready for a stream that was admitted.
    pub fn begin(
        repository: Repository,
        manifest: Option<Manifest>,
        header: &Header,
    ) -> anyhow::Result<Self> {
        let path = repository.path.clone();
        let new = || Manifest::new(header.device, header.generation, header.block_bytes, header.device_bytes);
        let base = manifest.as_ref().and_then(|manifest| manifest.base);
        let base = base.filter(|_| header.kind == Kind::Difference);
        if header.kind == Kind::Difference && base.is_none() {
            bail!(
                "the stream holds differences, but the repository has not said what it has (era hashes), or has \
                 changed since; try again"
            );
        }
        let is_first = manifest.as_ref().is_none_or(|manifest| manifest.points.is_empty());
        let mut manifest = manifest.unwrap_or_else(new);
        let geometry = Geometry::new(header.device_bytes, manifest.unit_bytes)?;
        let before = if is_first {
            (manifest.device_bytes, manifest.generation) = (header.device_bytes, header.generation);
            // From now on nothing is known of what is there.
            manifest.base = None;
            // It says that what is begun here is a repository.
            manifest.write(&path)?;
            None
        } else {
            Some(manifest.geometry()?)
        };
        file::make_dir(&layout::undo_directory(&path))?;
        manifest.reserve_room(&path)?;
        let mirror = Overwriter::open(&path, before.is_some())?;
        let hashes = match before {
            Some(_) => Hashes::open_there(&layout::hashes(&path))?,
            None => Hashes::open(&layout::hashes(&path))?,
        };
        if let Some(before) = before {
            hashes.check_len(before.units())?;
            // What mends fills it; where nothing is to be mended, the list was refused.
            if header.kind != Kind::Difference {
                check_whole(&mirror.image, before.device_bytes)?;
            }
        }
        let undo = match (before, manifest.last()) {
            (Some(before), Some(last)) => {
                let to = layout::undo(&path, last.id, manifest.next_id);
                Some(UndoWriter::create(&to, &undo_header(&manifest, last, before))?)
            }
            _ => None,
        };
        let units = geometry.units().max(before.map_or(0, |before| before.units()));
        let mut receiver = Self {
            repository,
            manifest,
            before,
            geometry,
            mirror,
            hashes,
            undo,
            batch: BTreeMap::new(),
            batch_bytes: 0,
            zero_hash: ZeroHash::default(),
            changed: BlockSet::new(units),
            base,
            mends: header.kind == Kind::Difference,
            mended: 0,
            audit: None,
        };
        receiver.resize()?;
        Ok(receiver)
    }

    /// How the device of the stream is divided up.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Image and hashes get the size of the stream's device.
    fn resize(&mut self) -> anyhow::Result<()> {
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
        if self.mirror.image.can_grow() {
            self.mirror.image.set_len(self.geometry.device_bytes)?;
        } else if self.mirror.image.len()? < self.geometry.device_bytes {
            bail!(
                "{}: has {} bytes, the device of the stream {}; put the image on a larger device",
                self.mirror.image.path().display(),
                self.mirror.image.len()?,
                self.geometry.device_bytes
            );
        }
        self.hashes.set_units(self.geometry.units())?;
        let before = self.before.map_or(0, |before| before.units());
        for unit in run.begin..run.end.min(self.geometry.units()) {
            if unit < before {
                let mut bytes = self.buffer(unit)?;
                // What it holds up to the old end, and zeros.
                let known = usize::try_from(self.before.map_or(0, |before| before.extent(unit).len))?;
                let known = known.min(bytes.len());
                self.mirror.image.read(&mut bytes[..known], self.geometry.extent(unit).offset)?;
                self.put(unit, Content::Data(bytes))?;
            } else {
                self.put(unit, Content::Zeros)?;
            }
        }
        Ok(())
    }

    fn buffer(&self, unit: u64) -> anyhow::Result<Vec<u8>> {
        Ok(vec![0; usize::try_from(self.geometry.extent(unit).len)?])
    }

    /// A unit goes into the batch, if it changes.
    fn put(&mut self, unit: u64, content: Content) -> anyhow::Result<()> {
        let len = self.geometry.extent(unit).len;
        let (content, hash) = match content {
            Content::Data(bytes) if is_zero(&bytes) => (Content::Zeros, self.zero_hash.of(len)),
            Content::Data(bytes) => {
                let hash = hash(&bytes);
                (Content::Data(bytes), hash)
            }
            Content::Zeros => (Content::Zeros, self.zero_hash.of(len)),
        };
        // Of a first copy that was interrupted nothing is known to be durable.
        let is_known = self.before.is_some() && !self.batch.contains_key(&unit);
        if is_known && self.hashes.get(unit)? == Some(hash) {
            return self.mend(unit, &content, hash);
        }
        // Zeros weigh as much as what they replace, which goes into the undo stream.
        if matches!(content, Content::Data(_)) || self.undo.is_some() {
            self.batch_bytes += len;
        }
        self.batch.insert(unit, (content, hash));
        if self.batch_bytes >= BATCH_BYTES || self.batch.len() >= BATCH_UNITS {
            self.flush()?;
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
        self.mirror.image.read(&mut bytes, extent.offset)?;
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

    /// Writes the batch.
    fn flush(&mut self) -> anyhow::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
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
                    _ => {
                        self.zero(zeros.replace(extent))?;
                    }
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

    /// What the stream says that it was compared with.
    pub fn compared_with(&mut self, list: &[u8]) -> anyhow::Result<()> {
        match self.base.take() {
            Some(base) if base == list => Ok(()),
            _ => bail!(
                "the stream holds differences to something else than what the repository has; it has changed \
                 meanwhile, try again"
            ),
        }
    }

    /// What the sender has found of blocks that nothing says were written.
    pub fn audited(&mut self, audit: Audit) {
        self.audit = Some(audit);
    }

    /// Gives the repository back, with what was begun in it. Of a first copy, all that arrived is kept: the next try goes
    /// on from there.
    pub fn abandon(mut self) -> Repository {
        if self.before.is_none()
            && let Err(e) = self.flush()
        {
            report::warn(format_args!("{}: {e:#}", self.repository.path.display()));
        }
        self.repository
    }

    /// What is kept with the point.
    fn note(&self, given: Option<&str>) -> Option<String> {
        let mended = (self.mended > 0)
            .then(|| format!("{} damaged blocks of the image are again what they were", self.mended));
        let notes: Vec<&str> = given.into_iter().chain(mended.as_deref()).collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }

    /// All that the stream had is there: it becomes a point.
    pub fn commit(
        &mut self,
        header: &Header,
        trailer: &Trailer,
        stream_bytes: u64,
        note: Option<&str>,
    ) -> anyhow::Result<Point> {
        self.flush()?;
        if header.kind == Kind::Increment && trailer.next.0 < self.manifest.era {
            bail!(
                "the stream is older than what the repository has: it ends with era {}, the repository is at era {}",
                trailer.next,
                self.manifest.era
            );
        }
        if self.base.is_some() {
            bail!("the stream does not say what its differences are to");
        }
        let note = self.note(note);
        let held_bytes = self.undo.take().map_or(Ok(0), UndoWriter::finish)?;
        self.mirror.image.sync()?;
        self.hashes.sync()?;
        let manifest = &mut self.manifest;
        if let Some(last) = manifest.points.last_mut() {
            last.held_bytes = held_bytes;
        }
        let units = |run: Run| (run.begin..run.end).map(|unit| self.geometry.extent(unit).len).sum::<u64>();
        let mut point =
            Point::new(manifest.next_id, header.time, header.consistency, header.kind, header.device_bytes);
        point.changed_bytes = self.changed.runs().map(units).sum();
        point.stream_bytes = stream_bytes;
        point.note = note;
        point.passes = trailer.passes;
        point.freeze_nanoseconds = trailer.freeze_nanoseconds;
        if let Some(audit) = &self.audit {
            // The next sample is another one, until all were looked at.
            manifest.audit_next = audit.first.wrapping_add(1) % audit.stride;
            point.audited_units = audit.checked;
            point.suspect = suspicion(audit, manifest.unit_bytes);
        }
        manifest.points.push(point.clone());
        manifest.next_id += 1;
        manifest.base = None;
        manifest.generation = header.generation;
        manifest.era = trailer.next.0;
        manifest.device_bytes = header.device_bytes;
        manifest.write(&self.repository.path)?;
        self.mirror.give_back();
        Ok(point)
    }
}

impl Units for Receiver {
    fn base(&mut self, unit: u64, buf: &mut [u8]) -> anyhow::Result<()> {
        match self.batch.get(&unit) {
            Some((Content::Data(bytes), _)) => buf.copy_from_slice(bytes),
            Some((Content::Zeros, _)) => buf.fill(0),
            None => {
                let extent = self.geometry.extent(unit);
                self.mirror.image.read(buf, extent.offset)?;
                // With a hash made of both, damage in the one part would be taken for what the device has. Of a first copy
                // that was interrupted, no hash is known.
                if self.before.is_some() && self.hashes.get(unit)? != Some(hash(buf)) {
                    bail!(
                        "{}: bytes {} to {} are not what they were, and the stream has only a part of them; era verify \
                         REPO SOURCE --repair gets back what the device still has",
                        self.mirror.image.path().display(),
                        extent.offset,
                        extent.end()
                    );
                }
            }
        }
        Ok(())
    }

    fn unit(&mut self, unit: u64, content: Content) -> anyhow::Result<()> {
        self.put(unit, content)
    }
}

/// What is wrong, if something is.
fn suspicion(audit: &Audit, unit_bytes: u64) -> Option<String> {
    let first = audit.units.first()?;
    Some(format!(
        "{} of {} blocks that were not written, as dm-era says, are not as in the repository, the first at byte {}",
        audit.differing,
        audit.checked,
        first.saturating_mul(unit_bytes)
    ))
}

/// What the undo stream says of itself: it leads back to the last point.
pub(super) fn undo_header(manifest: &Manifest, last: &Point, before: Geometry) -> Header {
    Header {
        device: manifest.device,
        generation: Uuid::nil(),
        device_bytes: before.device_bytes,
        block_bytes: manifest.block_size_bytes,
        since: Era(0),
        kind: Kind::Undo,
        consistency: Consistency::Unknown,
        time: last.time,
    }
}
