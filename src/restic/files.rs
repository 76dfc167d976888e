// SPDX-License-Identifier: GPL-3.0-or-later
//! Points as files, to be mounted: any bytes of any point.
//!
//! A blob is fetched and checked as a whole, and some are kept, as programs read in smaller pieces. Who reads on from where it has
//! read before finds the next blobs fetched already: many at a time, as a server takes its time for each.
//!
//! What is shown is what there was when it was mounted: the index, which says where blobs are, was read then.

use std::collections::{HashSet, VecDeque};
use std::num::NonZeroUsize;

use anyhow::{Context, bail};
use bytes::Bytes;
use lru::LruCache;
use rustic_core::DataId;

use super::archive::Archive;
use super::image::{Contents, Image, Piece};
use super::layout::SEGMENT_BYTES;
use super::points::Point;
use super::restore::{Fetched, readers};
use crate::report;
use crate::repository::files::{PointFile, PointFiles};
use crate::units::Extent;
use crate::workers::Workers;

/// Points that are kept open.
const IMAGES: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// Bytes of blobs that are kept.
const KEPT_BYTES: usize = 24 << 20;

/// Who has read so much from one place on reads on, it is supposed.
const SEQUENTIAL_BYTES: u64 = 1 << 20;

/// How far ahead of who reads on blobs are fetched: fewer bytes than are kept.
const AHEAD_SEGMENTS: u64 = 12;

/// Blobs of which it is remembered that they were told of.
const MOST_TOLD: usize = 4096;

/// The points of a device.
pub struct Files {
    archive: Archive,
    /// How messages call the repository.
    repository: String,
    points: Vec<Point>,
    /// Whether all points are shown, not only one.
    are_all: bool,
    /// By number.
    images: LruCache<u64, Image>,
    /// Those that were used last, or fetched for who reads on.
    blobs: LruCache<DataId, Bytes>,
    kept_bytes: usize,
    /// Threads that fetch blobs, and which ones they fetch, in order.
    readers: Workers<(Extent, DataId), Fetched>,
    coming: VecDeque<DataId>,
    /// Where what was asked for last ended, of which point.
    read_to: (u64, u64),
    /// How much of it was asked for piece after piece.
    sequential: u64,
    /// Up to which segment blobs were asked for ahead.
    ahead_to: u64,
    /// Blobs that could not be had: a program that tries again, as the kernel does, gets no new message.
    told: HashSet<DataId>,
}

impl Files {
    /// Points of a repository, oldest first.
    pub fn new(archive: &Archive, repository: &str, points: Vec<Point>, are_all: bool) -> Self {
        Self {
            archive: archive.clone(),
            repository: repository.to_owned(),
            points,
            are_all,
            images: LruCache::new(IMAGES),
            blobs: LruCache::unbounded(),
            kept_bytes: 0,
            readers: readers(archive),
            coming: VecDeque::new(),
            read_to: (0, 0),
            sequential: 0,
            ahead_to: 0,
            told: HashSet::new(),
        }
    }

    fn point(&self, number: u64) -> Option<&Point> {
        self.points.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    fn image(&mut self, number: u64) -> anyhow::Result<&mut Image> {
        if !self.images.contains(&number) {
            let point = self.point(number).context("there is no such point")?;
            let image = Image::open(&self.archive, &self.repository, point)?;
            self.images.put(number, image);
        }
        self.images.get_mut(&number).context("an image is gone")
    }

    /// What a piece holds.
    fn bytes(&mut self, number: u64, piece: &Piece) -> anyhow::Result<Bytes> {
        let Contents::Blob(id) = piece.contents else {
            return Ok(Bytes::from(vec![0; usize::try_from(piece.extent.len)?]));
        };
        // What is being fetched comes in the order in which it was asked for.
        while self.coming.contains(&id) {
            self.take_one();
        }
        if let Some(bytes) = self.blobs.get(&id) {
            return Ok(bytes.clone());
        }
        match self.archive.read(&id) {
            Ok(bytes) => {
                self.keep(id, bytes.clone());
                Ok(bytes)
            }
            Err(e) => {
                let e = e.context(self.image(number)?.place(piece.extent));
                if self.told.len() >= MOST_TOLD {
                    self.told.clear();
                }
                if self.told.insert(id) {
                    report::fail(format_args!("{e:#}"));
                }
                Err(e)
            }
        }
    }

    /// Takes a blob that was asked for ahead. One that could not be had is told of when it is asked for.
    fn take_one(&mut self) {
        if let (Some(id), Some((_, Ok(bytes)))) = (self.coming.pop_front(), self.readers.take()) {
            self.keep(id, bytes);
        }
    }

    fn keep(&mut self, id: DataId, bytes: Bytes) {
        self.kept_bytes += bytes.len();
        if let Some(before) = self.blobs.put(id, bytes) {
            self.kept_bytes -= before.len();
        }
        while self.kept_bytes > KEPT_BYTES
            && let Some((_, oldest)) = self.blobs.pop_lru()
        {
            self.kept_bytes -= oldest.len();
        }
    }

    fn ask(&mut self, number: u64, segment: u64) -> anyhow::Result<()> {
        for piece in self.image(number)?.segment(segment)? {
            if let Contents::Blob(id) = piece.contents
                && !self.blobs.contains(&id)
                && !self.coming.contains(&id)
            {
                self.readers.push((piece.extent, id));
                self.coming.push_back(id);
            }
        }
        Ok(())
    }
}

fn file_of(number: u64, point: &Point) -> PointFile {
    let time = point.time.strftime("%Y-%m-%dT%H:%M:%SZ");
    let name = format!("{time}_{}.img", point.id());
    PointFile { number, name, bytes: point.mark.device_bytes, time: point.time }
}

impl PointFiles for Files {
    fn files(&mut self) -> anyhow::Result<Vec<PointFile>> {
        Ok((1..).zip(&self.points).map(|(number, point)| file_of(number, point)).collect())
    }

    fn file(&mut self, number: u64) -> anyhow::Result<Option<PointFile>> {
        Ok(self.point(number).map(|point| file_of(number, point)))
    }

    fn named(&mut self, name: &str) -> anyhow::Result<Option<PointFile>> {
        Ok(self.files()?.into_iter().find(|file| file.name == name))
    }

    fn last(&mut self) -> anyhow::Result<Option<PointFile>> {
        if !self.are_all {
            return Ok(None);
        }
        Ok(self.files()?.pop())
    }

    fn prepare(&mut self, number: u64) -> anyhow::Result<()> {
        self.image(number).map(|_| ())
    }

    fn read_to(
        &mut self,
        number: u64,
        offset: u64,
        len: usize,
        to: &mut dyn FnMut(&[u8]),
    ) -> anyhow::Result<()> {
        let layout = self.image(number)?.layout();
        let end = offset.saturating_add(len as u64).min(layout.device_bytes());
        let mut parts: Vec<Bytes> = Vec::new();
        let mut at = offset;
        while at < end {
            let pieces = self.image(number)?.segment(at / SEGMENT_BYTES)?;
            for piece in pieces {
                if piece.extent.end() <= at || piece.extent.offset >= end {
                    continue;
                }
                let bytes = self.bytes(number, &piece)?;
                let begin = usize::try_from(at - piece.extent.offset)?;
                let until = usize::try_from(end.min(piece.extent.end()) - piece.extent.offset)?;
                if bytes.len() < until {
                    bail!("{}: the blob has {} bytes", self.image(number)?.place(piece.extent), bytes.len());
                }
                parts.push(bytes.slice(begin..until));
                at = end.min(piece.extent.end());
            }
        }
        match parts.as_slice() {
            [part] => to(part),
            parts => to(&parts.concat()),
        }
        Ok(())
    }

    fn read_ahead(&mut self, number: u64, offset: u64, len: usize) {
        let end = offset.saturating_add(len as u64);
        let is_next = std::mem::replace(&mut self.read_to, (number, end)) == (number, offset);
        if !is_next {
            (self.sequential, self.ahead_to) = (0, 0);
            return;
        }
        self.sequential = self.sequential.saturating_add(len as u64);
        if self.sequential < SEQUENTIAL_BYTES {
            return;
        }
        let Ok(segments) = self.image(number).map(|image| image.layout().segments()) else { return };
        let next = end / SEGMENT_BYTES + 1;
        let from = self.ahead_to.max(next);
        let until = (next + AHEAD_SEGMENTS).min(segments);
        for segment in from..until {
            // What is wrong with it is told when it is asked for.
            if self.ask(number, segment).is_err() {
                return;
            }
            self.ahead_to = segment + 1;
        }
    }
}
