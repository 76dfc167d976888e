// SPDX-License-Identifier: GPL-3.0-or-later
//! The changing half of receiving: units are hashed and gathered in batches, which go to the disk one after another. At the
//! end: undo stream, image and hashes are made durable, and then the manifest says so.

use std::collections::BTreeMap;

use anyhow::bail;
use uuid::Uuid;

use super::assemble::{Content, Units};
use super::file::{self, RepoFile};
use super::geometry::Geometry;
use super::hashes::{Hashes, UnitHash, ZeroHash, hash};
use super::layout;
use super::manifest::{Manifest, Point};
use super::open::Repository;
use super::overwrite::{Overwriter, check_whole};
use super::stage::Stage;
use super::store::{Batch, Store, check_base};
use super::undo::{BATCH_BYTES, UndoWriter};
use crate::report;
use crate::runs::{BlockSet, Run};
use crate::stream::{Audit, Consistency, Header, Kind, Trailer, is_zero};
use crate::units::Era;

/// Units in a batch, where they are small or hold zeros.
const BATCH_UNITS: usize = 8192;

/// The image and its hashes as they were, for hints alone: of what was changed meanwhile they may say what was before.
struct Ahead {
    image: RepoFile,
    hashes: Hashes,
    before: Geometry,
}

impl Ahead {
    fn open(path: &std::path::Path, before: Geometry) -> anyhow::Result<Self> {
        let image = RepoFile::open_to_read(&layout::image(path))?;
        Ok(Self { image, hashes: Hashes::open_to_read(&layout::hashes(path))?, before })
    }

    /// A unit will hold what hashes to this. If that is what it holds, it is not read.
    fn will_change(&self, unit: u64, to: &UnitHash) -> anyhow::Result<()> {
        if unit < self.before.units() && self.hashes.get(unit)?.as_ref() != Some(to) {
            self.image.will_read(self.before.extent(unit));
        }
        Ok(())
    }
}

/// Takes units.
pub struct Receiver {
    repository: Repository,
    manifest: Manifest,
    geometry: Geometry,
    /// The first copy, or one that goes on with it.
    is_first: bool,
    stage: Stage,
    /// What the image holds of the units that come will be saved: the disk begins to read it while they arrive.
    ahead: Option<Ahead>,
    batch: Batch,
    batch_bytes: u64,
    zero_hash: ZeroHash,
    /// What a stream of differences must have been compared with.
    base: Option<UnitHash>,
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
        // What mends fills them; where nothing is to be mended, the list was refused.
        if let Some(before) = before.filter(|_| header.kind != Kind::Difference) {
            hashes.check_len(before.units())?;
            check_whole(&mirror.image, before.device_bytes)?;
        }
        let undo = match (before, manifest.last()) {
            (Some(before), Some(last)) => {
                let to = layout::undo(&path, last.id, manifest.next_id);
                Some(UndoWriter::create(&to, &undo_header(&manifest, last, before))?)
            }
            _ => None,
        };
        let units = geometry.units().max(before.map_or(0, |before| before.units()));
        let mut store = Store {
            before,
            geometry,
            mirror,
            hashes,
            undo,
            changed: BlockSet::new(units),
            mends: header.kind == Kind::Difference,
            mended: 0,
        };
        let resized = store.resize()?;
        let ahead = before.map(|before| Ahead::open(&repository.path, before)).transpose()?;
        let mut receiver = Self {
            repository,
            manifest,
            geometry,
            is_first,
            stage: Stage::start(store),
            ahead,
            batch: BTreeMap::new(),
            batch_bytes: 0,
            zero_hash: ZeroHash::default(),
            base,
            audit: None,
        };
        for (unit, content) in resized {
            receiver.put(unit, content)?;
        }
        Ok(receiver)
    }

    /// How the device of the stream is divided up.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// A unit goes into the batch.
    fn put(&mut self, unit: u64, content: Content) -> anyhow::Result<()> {
        let len = self.geometry.extent(unit).len;
        let (content, hash) = hashed(content, len, &mut self.zero_hash);
        // Zeros weigh as much as what they replace, which goes into the undo stream.
        if matches!(content, Content::Data(_)) || !self.is_first {
            self.batch_bytes += len;
        }
        if let Some(ahead) = &self.ahead {
            ahead.will_change(unit, &hash)?;
        }
        self.batch.insert(unit, (content, hash));
        if self.batch_bytes >= BATCH_BYTES || self.batch.len() >= BATCH_UNITS {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.batch_bytes = 0;
        self.stage.give(std::mem::take(&mut self.batch))
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
        let kept =
            if self.is_first { self.flush().and_then(|()| self.stage.end().map(drop)) } else { Ok(()) };
        if let Err(e) = kept {
            report::warn(format_args!("{}: {e:#}", self.repository.path.display()));
        }
        self.repository
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
        let mut store = self.stage.end()?;
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
        let held_bytes = store.finish()?;
        let manifest = &mut self.manifest;
        if let Some(last) = manifest.points.last_mut() {
            last.held_bytes = held_bytes;
        }
        let units = |run: Run| (run.begin..run.end).map(|unit| self.geometry.extent(unit).len).sum::<u64>();
        let mut point =
            Point::new(manifest.next_id, header.time, header.consistency, header.kind, header.device_bytes);
        point.changed_bytes = store.changed.runs().map(units).sum();
        point.stream_bytes = stream_bytes;
        point.note = note_of(note, store.mended);
        point.passes = trailer.passes;
        point.freeze_nanoseconds = trailer.freeze_nanoseconds;
        // What is known to be wrong does not become right by changes to something else.
        if header.kind == Kind::Increment {
            point.suspect = manifest.last().and_then(inherited);
        }
        if let Some(audit) = &self.audit {
            // The next sample is another one, until all were looked at.
            manifest.audit_next = audit.first.wrapping_add(1) % audit.stride;
            point.audited_units = audit.checked;
            point.suspect = suspicion(audit, manifest.unit_bytes).or(point.suspect);
        }
        manifest.points.push(point.clone());
        manifest.next_id += 1;
        manifest.base = None;
        manifest.generation = header.generation;
        manifest.era = trailer.next.0;
        manifest.device_bytes = header.device_bytes;
        manifest.write(&self.repository.path)?;
        store.mirror.give_back();
        Ok(point)
    }
}

impl Units for Receiver {
    fn base(&mut self, unit: u64, buf: &mut [u8]) -> anyhow::Result<()> {
        match self.batch.get(&unit) {
            Some((Content::Data(bytes), _)) => buf.copy_from_slice(bytes),
            Some((Content::Zeros, _)) => buf.fill(0),
            None => {
                self.stage.settle()?;
                let (path, extent) = (layout::image(&self.repository.path), self.geometry.extent(unit));
                let image = RepoFile::open_to_read(&path)?;
                image.read(buf, extent.offset)?;
                // Of a first copy that was interrupted, no hash is known.
                if !self.is_first {
                    let hashes = Hashes::open_to_read(&layout::hashes(&self.repository.path))?;
                    check_base(&image, &hashes, unit, extent, buf)?;
                }
            }
        }
        Ok(())
    }

    fn unit(&mut self, unit: u64, content: Content) -> anyhow::Result<()> {
        self.put(unit, content)
    }
}

/// A unit with its hash; what holds zeros is known as that.
fn hashed(content: Content, len: u64, zero_hash: &mut ZeroHash) -> (Content, UnitHash) {
    match content {
        Content::Data(bytes) if !is_zero(&bytes) => {
            let hash = hash(&bytes);
            (Content::Data(bytes), hash)
        }
        _ => (Content::Zeros, zero_hash.of(len)),
    }
}

/// What is kept with a point.
fn note_of(given: Option<&str>, mended: u64) -> Option<String> {
    let mended =
        (mended > 0).then(|| format!("{mended} damaged blocks of the image are again what they were"));
    let notes: Vec<&str> = given.into_iter().chain(mended.as_deref()).collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// What a point takes over from the one before.
fn inherited(before: &Point) -> Option<String> {
    let why = before.suspect.as_ref()?;
    Some(if why.starts_with(SINCE) { why.clone() } else { format!("{SINCE} {}: {why}", before.id) })
}

const SINCE: &str = "since point";

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
