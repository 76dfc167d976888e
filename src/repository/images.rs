// SPDX-License-Identifier: GPL-3.0-or-later
//! Every point as a file: its name, and any bytes of it. What a mounted repository shows, without the mounting.
//!
//! Points that are added meanwhile are there when they are next asked for. Memory and open files are bounded: views are
//! closed when others are used more, and of the units that were decoded some are kept, as programs read in pieces
//! that are smaller.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context;
use lru::LruCache;

use super::current::Current;
use super::files::{PointFile, PointFiles};
use super::manifest::{Manifest, Point};
use super::points::{Selector, find};
use super::readahead::Readahead;
use super::view::View;
use crate::report;

/// Units that are kept in memory, in bytes.
const CACHE_BYTES: u64 = 8 << 20;

/// Who has read so much from one place on reads on, it is supposed: more than the next unit is then read ahead.
const SEQUENTIAL_BYTES: u64 = 2 << 20;

/// Views that are kept open, as long as they have not too many files open.
const VIEWS: usize = 8;

/// Undo streams that all views together may have open, but for the one that is in use.
const UNDO_STREAMS: usize = 512;

/// Damaged units of which it is remembered that they were told of.
const MOST_TOLD: usize = 4096;

/// The points of a repository, which must be held open for as long.
#[derive(Debug)]
pub struct Images {
    repository: PathBuf,
    /// The only point that there is to be.
    only: Option<u64>,
    current: Current,
    /// By point.
    views: LruCache<u64, View>,
    /// By point and unit.
    units: LruCache<(u64, u64), Vec<u8>>,
    /// Where what was asked for last ended, of which point.
    read_to: (u64, u64),
    /// How much of it was asked for piece after piece.
    sequential: u64,
    readahead: Option<Readahead>,
    /// Units that could not be read: a program that tries again, as the kernel does, gets no new message.
    told: HashSet<(u64, u64)>,
}

/// The name of a point's file: in the order of time, and with its number.
pub fn file_name(point: &Point) -> String {
    format!("{}_{}.img", point.time.strftime("%Y-%m-%dT%H:%M:%SZ"), point.id)
}

impl Images {
    /// All points of a repository, or the one that is meant now.
    pub fn open(repository: &Path, only: Option<Selector>) -> anyhow::Result<Self> {
        let current = Current::read(repository)?;
        let points = &current.manifest.points;
        let only = only
            .map(|selector| find(points, selector).map(|at| points[at].id))
            .transpose()
            .with_context(|| repository.display().to_string())?;
        let units = usize::try_from(CACHE_BYTES / current.manifest.unit_bytes)?;
        Ok(Self {
            repository: repository.to_owned(),
            only,
            current,
            views: LruCache::unbounded(),
            units: LruCache::new(NonZeroUsize::new(units).unwrap_or(NonZeroUsize::MIN)),
            read_to: (0, 0),
            sequential: 0,
            readahead: None,
            told: HashSet::new(),
        })
    }

    /// The points that there are now, oldest first.
    pub fn points(&mut self) -> anyhow::Result<&[Point]> {
        let only = self.only;
        let points = &self.manifest()?.points;
        Ok(match only {
            None => points,
            Some(id) => points.iter().position(|point| point.id == id).map_or(&[], |at| &points[at..=at]),
        })
    }

    /// The point with this number.
    pub fn point(&mut self, id: u64) -> anyhow::Result<Option<&Point>> {
        Ok(self.points()?.iter().find(|point| point.id == id))
    }

    /// The point whose file has this name.
    pub fn named(&mut self, name: &str) -> anyhow::Result<Option<&Point>> {
        let id = name.strip_suffix(".img").and_then(|name| name.rsplit_once('_')?.1.parse().ok());
        let Some(id) = id else { return Ok(None) };
        Ok(self.point(id)?.filter(|point| file_name(point) == name))
    }

    /// The last point, if all are shown.
    pub fn last(&mut self) -> anyhow::Result<Option<&Point>> {
        if self.only.is_some() {
            return Ok(None);
        }
        Ok(self.points()?.last())
    }

    fn manifest(&mut self) -> anyhow::Result<&Manifest> {
        if self.current.is_replaced()? {
            self.current = Current::read(&self.repository)?;
        }
        Ok(&self.current.manifest)
    }

    /// Hands on bytes of a point; fewer where it ends. Each unit is checked against its hash. An error is told on stderr as well,
    /// once.
    pub fn read_to<T>(
        &mut self,
        id: u64,
        offset: u64,
        len: usize,
        to: impl FnOnce(&[u8]) -> T,
    ) -> anyhow::Result<T> {
        let geometry = self.view(id)?.geometry();
        let unit = geometry.unit_of(offset);
        let extent = geometry.extent(unit);
        if len == 0 || offset.saturating_add(len as u64) > extent.end() {
            return self.read(id, offset, len).map(|bytes| to(&bytes));
        }
        let begin = usize::try_from(offset - extent.offset)?;
        self.unit(id, unit, |bytes| to(&bytes[begin..begin + len]))
    }

    /// What follows what was read, if that followed what was read before it: the next unit is then there when it is asked for,
    /// and after some of them a thread reads the others. Whoever calls this has time, as whoever reads has something to do.
    pub fn read_ahead(&mut self, id: u64, offset: u64, len: usize) {
        let end = offset.saturating_add(len as u64);
        let is_next = std::mem::replace(&mut self.read_to, (id, end)) == (id, offset);
        self.sequential = if is_next { self.sequential.saturating_add(len as u64) } else { 0 };
        let Ok(geometry) = self.view(id).map(|view| view.geometry()) else { return };
        let next = geometry.unit_of(end.saturating_sub(1)) + 1;
        if !is_next || next >= geometry.units() || self.is_read_ahead(id, next) {
            return;
        }
        if self.sequential >= SEQUENTIAL_BYTES {
            self.readahead = None;
            self.readahead = Readahead::start(&self.repository, id, geometry, next).ok();
        } else {
            // What is damaged is told of when it is asked for.
            let _ = self.load(id, next);
        }
    }

    fn is_read_ahead(&self, id: u64, unit: u64) -> bool {
        self.readahead.as_ref().is_some_and(|readahead| readahead.covers(id, unit))
    }

    fn read(&mut self, id: u64, offset: u64, len: usize) -> anyhow::Result<Vec<u8>> {
        let geometry = self.view(id)?.geometry();
        let end = offset.saturating_add(len as u64).min(geometry.device_bytes);
        let mut bytes = Vec::with_capacity(usize::try_from(end.saturating_sub(offset))?);
        let mut at = offset;
        while at < end {
            let unit = geometry.unit_of(at);
            let extent = geometry.extent(unit);
            let to = end.min(extent.end());
            let piece = usize::try_from(at - extent.offset)?..usize::try_from(to - extent.offset)?;
            self.unit(id, unit, |unit| bytes.extend_from_slice(&unit[piece]))?;
            at = to;
        }
        Ok(bytes)
    }

    /// Hands on a unit.
    fn unit<T>(&mut self, id: u64, unit: u64, to: impl FnOnce(&[u8]) -> T) -> anyhow::Result<T> {
        if self.is_read_ahead(id, unit)
            && !self.units.contains(&(id, unit))
            && let Some(bytes) = self.readahead.as_mut().and_then(|readahead| readahead.get(unit))
        {
            return Ok(to(&bytes));
        }
        if let Err(e) = self.load(id, unit) {
            if self.told.len() >= MOST_TOLD {
                self.told.clear();
            }
            if self.told.insert((id, unit)) {
                report::fail(format_args!("{e:#}"));
            }
            return Err(e);
        }
        self.units.get(&(id, unit)).map(|bytes| to(bytes)).context("a unit is gone")
    }

    /// Sees to it that a unit is in memory.
    fn load(&mut self, id: u64, unit: u64) -> anyhow::Result<()> {
        if self.units.contains(&(id, unit)) {
            return Ok(());
        }
        let len = usize::try_from(self.view(id)?.geometry().extent(unit).len)?;
        // New memory costs as much as a copy: that of the unit which was not used for longest does as well.
        let oldest = if self.units.len() == self.units.cap().get() { self.units.pop_lru() } else { None };
        let mut bytes = oldest.map_or_else(Vec::new, |(_, bytes)| bytes);
        bytes.resize(len, 0);
        self.view(id)?.read_checked(unit, &mut bytes)?;
        self.units.put((id, unit), bytes);
        Ok(())
    }

    fn view(&mut self, id: u64) -> anyhow::Result<&mut View> {
        if !self.views.contains(&id) {
            let view = View::open(&self.repository, Selector::Id(id))?;
            let most = UNDO_STREAMS.saturating_sub(view.undo_streams());
            let open =
                |views: &LruCache<u64, View>| views.iter().map(|(_, v)| v.undo_streams()).sum::<usize>();
            while self.views.len() >= VIEWS || open(&self.views) > most && !self.views.is_empty() {
                self.views.pop_lru();
            }
            self.views.put(id, view);
        }
        self.views.get_mut(&id).context("a view is gone")
    }
}

fn file_of(point: &Point) -> PointFile {
    PointFile { number: point.id, name: file_name(point), bytes: point.device_bytes, time: point.time }
}

impl PointFiles for Images {
    fn files(&mut self) -> anyhow::Result<Vec<PointFile>> {
        Ok(self.points()?.iter().map(file_of).collect())
    }

    fn file(&mut self, number: u64) -> anyhow::Result<Option<PointFile>> {
        Ok(self.point(number)?.map(file_of))
    }

    fn named(&mut self, name: &str) -> anyhow::Result<Option<PointFile>> {
        Ok(Images::named(self, name)?.map(file_of))
    }

    fn last(&mut self) -> anyhow::Result<Option<PointFile>> {
        Ok(Images::last(self)?.map(file_of))
    }

    fn prepare(&mut self, number: u64) -> anyhow::Result<()> {
        self.view(number).map(|_| ())
    }

    fn read_to(
        &mut self,
        number: u64,
        offset: u64,
        len: usize,
        to: &mut dyn FnMut(&[u8]),
    ) -> anyhow::Result<()> {
        Images::read_to(self, number, offset, len, to)
    }

    fn read_ahead(&mut self, number: u64, offset: u64, len: usize) {
        Images::read_ahead(self, number, offset, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blockio::Piece;
    use crate::report::{Progress, When};
    use crate::repository::layout;
    use crate::repository::receive::receive;
    use crate::runs::Run;
    use crate::stream::{Consistency, Encode, EncoderV2, Header, Kind};
    use crate::units::{Era, Extent};

    const BLOCK: usize = 4096;

    /// Adds a point at which the blocks of a run hold this byte.
    fn add(repository: &Path, era: u32, run: Run, byte: u8, device_bytes: usize) {
        let header = Header {
            device: uuid::Uuid::from_u128(1),
            generation: uuid::Uuid::from_u128(2),
            device_bytes: device_bytes as u64,
            block_bytes: BLOCK as u64,
            since: Era(era - 1),
            kind: if era == 1 { Kind::Full } else { Kind::Increment },
            consistency: Consistency::Snapshot,
            time: format!("2026-01-01T00:00:{era:02}.7Z").parse().unwrap(),
        };
        let mut stream = Vec::new();
        let mut encoder = EncoderV2::new(&mut stream, &header, None, Era(era)).unwrap();
        let (begin, end) = (run.begin as usize * BLOCK, (run.end as usize * BLOCK).min(device_bytes));
        let bytes = vec![byte; end - begin];
        let extent = Extent { offset: begin as u64, len: bytes.len() as u64 };
        encoder.piece(&Piece { extent, offset: extent.offset, bytes: &bytes }).unwrap();
        encoder.conclude(Era(era), 1, 0);
        encoder.finish().unwrap();
        drop(encoder);
        receive(repository, &stream[..], None, &Progress::new(When::OnTerminal, None)).unwrap();
    }

    fn names(images: &mut Images) -> Vec<String> {
        images.points().unwrap().iter().map(file_name).collect()
    }

    #[test]
    fn every_point_is_a_file_also_those_that_come() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("repo");
        add(&path, 1, Run { begin: 0, end: 3 }, 1, 10_000);
        let mut images = Images::open(&path, None).unwrap();
        let first = "2026-01-01T00:00:01Z_1.img";
        assert_eq!(names(&mut images), [first]);
        let of_first = images.read(1, 4000, 50_000).unwrap();
        assert_eq!(of_first, [1; 6000]);

        add(&path, 2, Run { begin: 1, end: 2 }, 2, 10_000);
        assert_eq!(names(&mut images), [first, "2026-01-01T00:00:02Z_2.img"]);
        assert_eq!(images.named("2026-01-01T00:00:02Z_2.img").unwrap().map(|point| point.id), Some(2));
        for none in ["2026-01-01T00:00:02Z_1.img", "_2.img", "2.img", "latest", "", "2026-01-01T00:00:02Z_2"]
        {
            assert_eq!(images.named(none).unwrap(), None, "{none}");
        }
        assert_eq!(images.last().unwrap().map(|point| point.id), Some(2));
        assert_eq!(images.read(1, 4000, 50_000).unwrap(), of_first);
        // Past the cache, too.
        images.units.clear();
        assert_eq!(images.read(1, 4000, 50_000).unwrap(), of_first);
        assert_eq!(images.read(2, 4094, 4).unwrap(), [1, 1, 2, 2]);
        assert_eq!(images.read(2, 8190, 4).unwrap(), [2, 2, 1, 1]);
        assert_eq!(images.read(2, 9999, 4).unwrap(), [1]);
        assert!(images.read(2, 10_000, 4).unwrap().is_empty());
        assert!(images.read(2, u64::MAX, 4).unwrap().is_empty());
        assert!(images.read(3, 0, 4).is_err());
        // With one request for a part of a unit, for parts of two, and beyond the end.
        for (offset, len, expected) in [
            (4096, 2, &[2, 2][..]),
            (4094, 4, &[1, 1, 2, 2]),
            (9999, 4, &[1]),
            (10_000, 4, &[]),
            (8192, 0, &[]),
        ] {
            assert_eq!(images.read_to(2, offset, len, <[u8]>::to_vec).unwrap(), expected);
        }

        let mut one = Images::open(&path, Some(Selector::FromLast(0))).unwrap();
        add(&path, 3, Run { begin: 0, end: 1 }, 3, 10_000);
        assert_eq!(names(&mut one), ["2026-01-01T00:00:02Z_2.img"]);
        assert_eq!(one.last().unwrap(), None);
        assert!(Images::open(&path, Some(Selector::Id(7))).is_err());
    }

    #[test]
    fn memory_and_files_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("repo");
        let blocks = CACHE_BYTES as usize / BLOCK + 20;
        let all = Run { begin: 0, end: blocks as u64 };
        add(&path, 1, all, 1, blocks * BLOCK);
        for era in 2..20 {
            add(&path, era, Run { begin: 0, end: 1 }, era as u8, blocks * BLOCK);
        }
        let mut images = Images::open(&path, None).unwrap();
        for id in 1..20 {
            assert_eq!(images.read(id, 0, 2).unwrap(), [id as u8; 2]);
        }
        assert_eq!(images.views.len(), VIEWS);
        images.read(1, 0, blocks * BLOCK).unwrap();
        assert_eq!(images.units.len() * BLOCK, CACHE_BYTES as usize);
    }

    #[test]
    fn what_follows_is_there_before_it_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("repo");
        add(&path, 1, Run { begin: 0, end: 3 }, 1, 10_000);
        let mut images = Images::open(&path, None).unwrap();
        let mut read = |offset: u64, len: usize| {
            images.read_to(1, offset, len, <[u8]>::len).unwrap();
            images.read_ahead(1, offset, len);
            images.units.iter().map(|((_, unit), _)| *unit).max()
        };
        // What may be one look at one place brings nothing else.
        assert_eq!(read(100, 100), Some(0));
        assert_eq!(read(200, 100), Some(1));
        assert_eq!(read(300, 4000), Some(2));
        assert_eq!(read(4300, 5700), Some(2));
        // Damage is an error when it is asked for, not before.
        add(&path, 2, Run { begin: 1, end: 2 }, 2, 10_000);
        std::fs::write(layout::image(&path), [7; 10_000]).unwrap();
        images.units.clear();
        images.read_ahead(2, 0, 100);
        images.read_ahead(2, 100, 100);
        assert!(images.units.is_empty() && images.told.is_empty());
        assert!(images.read_to(2, 4096, 1, <[u8]>::len).is_err());
        assert_eq!(images.told.len(), 1);
    }

    #[test]
    fn who_reads_on_gets_what_a_thread_has_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("repo");
        let blocks = 5 * SEQUENTIAL_BYTES as usize / BLOCK;
        let all = blocks * BLOCK - 100;
        add(&path, 1, Run { begin: 0, end: blocks as u64 }, 1, all);
        add(&path, 2, Run { begin: 800, end: 900 }, 2, all);
        add(&path, 3, Run { begin: 1200, end: 1300 }, 3, all);
        // Of point 1 and 2, one that is damaged where a thread comes to read it.
        let image = std::fs::File::options().write(true).open(path.join("image")).unwrap();
        let bad = blocks - 10;
        std::os::unix::fs::FileExt::write_at(&image, &[7], (bad * BLOCK) as u64).unwrap();
        let mut images = Images::open(&path, None).unwrap();
        for (id, part) in [(1, 10_000), (2, 1 << 17), (1, 300_000)] {
            for offset in (0..all + part).step_by(part) {
                let read = images.read_to(id, offset as u64, part, <[u8]>::to_vec);
                let end = (offset + part).min(all).max(offset);
                if offset < (bad + 1) * BLOCK && end > bad * BLOCK {
                    assert!(read.is_err(), "{offset}");
                } else {
                    let expected =
                        |at: usize| if id == 2 && (800..900).contains(&(at / BLOCK)) { 2 } else { 1 };
                    assert!(read.unwrap().iter().copied().eq((offset..end).map(expected)), "{id}: {offset}");
                }
                images.read_ahead(id, offset as u64, part);
            }
            // Nothing else was read here.
            let most = (SEQUENTIAL_BYTES as usize + 2 * part) / BLOCK + 2;
            assert!(images.units.iter().all(|((_, unit), _)| (*unit as usize) < most), "{id}");
            assert_eq!(images.told.len(), if id == 1 { 1 } else { 2 });
            images.told.retain(|(told, _)| *told == 1);
            images.readahead = None;
            images.units.clear();
        }
    }

    #[test]
    fn what_is_damaged_is_an_error_and_the_rest_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("repo");
        add(&path, 1, Run { begin: 0, end: 3 }, 1, 10_000);
        std::os::unix::fs::FileExt::write_at(
            &std::fs::File::options().write(true).open(path.join("image")).unwrap(),
            &[7],
            5000,
        )
        .unwrap();
        let mut images = Images::open(&path, None).unwrap();
        assert_eq!(images.read(1, 0, 4096).unwrap(), [1; 4096]);
        assert_eq!(images.read(1, 8192, 4096).unwrap(), [1; 1808]);
        for _ in 0..2 {
            let error = images.read(1, 4000, 500).unwrap_err().to_string();
            assert!(error.contains("repo: point 1: bytes 4096 to 8192 are not what they were"), "{error}");
        }
        assert_eq!(images.told.len(), 1);
    }
}
