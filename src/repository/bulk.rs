// SPDX-License-Identifier: GPL-3.0-or-later
//! Many units of a point, one after another, read ahead.
//!
//! What [`View::read`] does for one unit holds for many: the image is read first, then its hash, and then the journal is asked
//! whether a run that is under way may have overwritten it. How long ago it was read does not matter. Only when the
//! manifest was replaced meanwhile, all that was read ahead is thrown away, and read again.
//!
//! What was read is hashed by threads, while whoever is handed a unit does something with it, and more is read.

use std::collections::VecDeque;

use bytes::Bytes;
use thiserror::Error;

use super::geometry::Geometry;
use super::hashes::{UnitHash, ZeroHash, hash};
use super::layout;
use super::view::View;
use crate::blockio::{OwnPiece, ReadError, Source, read_pieces};
use crate::units::Extent;
use crate::workers::Workers;

/// Units that are looked at together; what is under way is read to its end in between.
const BATCH: usize = 1 << 14;
/// The first ones, so that who wants few does not wait for the others to be looked up. Each batch is twice as large as the one before.
const FIRST_BATCH: usize = 1 << 7;

/// Bytes that are read with one request: so many, in units that are whole where they are no larger than
const PIECE_BYTES: u64 = 256 << 10;
/// this.
const MOST_PIECE_BYTES: u64 = 1 << 20;

/// What a unit holds.
#[derive(Clone, Debug)]
pub enum Contents {
    /// These bytes.
    Bytes(Bytes),
    /// Zeros, which were not read.
    Zeros,
}

/// A unit that was read.
#[derive(Clone, Debug)]
pub struct Unit {
    /// What it holds.
    pub contents: Contents,
    /// What that hashes to.
    pub hash: UnitHash,
    /// What it must hash to.
    pub expected: UnitHash,
}

impl Unit {
    /// Bytes that were not hashed yet.
    fn of(bytes: Vec<u8>, expected: UnitHash) -> Self {
        Self { hash: hash(&bytes), contents: Contents::Bytes(bytes.into()), expected }
    }
}

/// What becomes of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zeros {
    /// They are read like anything else, unless they are a hole.
    Read,
    /// What hashes as zeros is not read.
    Trust,
}

/// Takes units; or why one cannot be read.
pub type Each<'a> = &'a mut dyn FnMut(u64, anyhow::Result<Unit>) -> anyhow::Result<()>;

/// Where a unit is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Image,
    /// A hole of the image.
    Hole,
    /// Known to be zeros, whatever is where.
    Known,
    Undone,
}

/// Why reading ahead ended.
#[derive(Debug, Error)]
enum Stop {
    #[error("the manifest was replaced")]
    Stale,
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl View {
    /// Reads units, which must ascend, and hands them on.
    pub fn read_units(
        &mut self,
        mut units: impl Iterator<Item = u64>,
        zeros: Zeros,
        each: Each,
    ) -> anyhow::Result<()> {
        let path = layout::image(self.repository());
        let source =
            Source::open(&path).map_err(|e| anyhow::Error::from(e).context(path.display().to_string()))?;
        let mut batch = VecDeque::new();
        let mut most = FIRST_BATCH;
        let mut hashing = hashing(self.geometry());
        loop {
            batch.extend(units.by_ref().take(most.saturating_sub(batch.len())));
            most = BATCH.min(2 * most);
            if batch.is_empty() {
                return Ok(());
            }
            let places = self.places(&batch, zeros)?;
            let mut ahead = Ahead {
                view: &mut *self,
                units: &mut batch,
                places,
                hashing: &mut hashing,
                partial: Vec::new(),
                zero_hash: ZeroHash::default(),
                each: &mut *each,
            };
            let done = ahead.read(&source);
            // Whatever ended it: what is still hashed is nothing that anybody waits for.
            while hashing.take().is_some() {}
            match done {
                Ok(()) | Err(Stop::Stale) => {}
                Err(Stop::Other(e)) => return Err(e),
                // Those before it are read once more, one by one, and so it is itself: the error then names its file.
                Err(Stop::Read(e)) => {
                    // At least one of them, wherever the error is: it goes on in any case.
                    let bad =
                        self.geometry().unit_of(e.offset()).max(batch.front().copied().unwrap_or_default());
                    while batch.front().is_some_and(|unit| *unit <= bad)
                        && let Some(unit) = batch.pop_front()
                    {
                        self.read_alone(unit, each)?;
                    }
                }
            }
        }
    }

    fn read_alone(&mut self, unit: u64, each: Each) -> anyhow::Result<()> {
        let mut buf = vec![0; usize::try_from(self.geometry().extent(unit).len)?];
        let found = self.read(unit, &mut buf);
        each(unit, found.map(|expected| Unit::of(buf, expected)))
    }

    fn places(&mut self, units: &VecDeque<u64>, zeros: Zeros) -> anyhow::Result<VecDeque<Place>> {
        let zeros = if zeros == Zeros::Trust { self.known_zeros(units)? } else { Vec::new() };
        let mut places = VecDeque::with_capacity(units.len());
        // Up to here there is a hole.
        let mut hole_to = 0;
        for (at, &unit) in units.iter().enumerate() {
            let extent = self.geometry().extent(unit);
            let place = if zeros.get(at) == Some(&true) {
                Place::Known
            } else if self.undone(unit)?.is_some() {
                Place::Undone
            } else {
                if hole_to <= extent.offset {
                    hole_to = self.hole_from(extent.offset)?;
                }
                if extent.end() <= hole_to { Place::Hole } else { Place::Image }
            };
            places.push_back(place);
        }
        Ok(places)
    }

    /// Which of the units hash as zeros. The journal is asked once for all, after all other hashes were read.
    fn known_zeros(&mut self, units: &VecDeque<u64>) -> anyhow::Result<Vec<bool>> {
        let mut zero_hash = ZeroHash::default();
        loop {
            let mut found = Vec::with_capacity(units.len());
            for &unit in units {
                let undone = self.undone(unit)?;
                found.push((undone.is_some(), undone.map_or_else(|| self.hash_of_image(unit), Ok)));
            }
            if self.catch_up()? {
                continue;
            }
            let is_zero = |(&unit, (is_undone, hash)): (&u64, (bool, anyhow::Result<UnitHash>))| {
                let journaled = if is_undone { None } else { self.journaled_hash(unit)? };
                // A unit without a hash is looked at like any other, and found to be damaged.
                let hash = journaled.or(hash.ok());
                Ok(hash == Some(zero_hash.of(self.geometry().extent(unit).len)))
            };
            return units.iter().zip(found).map(is_zero).collect();
        }
    }
}

/// A piece of the image, and what the units in it hash to where it has whole ones.
struct Hashed {
    offset: u64,
    bytes: Bytes,
    hashes: Vec<UnitHash>,
}

/// How long pieces are: they begin with a unit, and end with one, unless those are large.
fn piece_bytes(geometry: Geometry) -> u64 {
    let unit = geometry.unit_bytes;
    if unit > MOST_PIECE_BYTES { PIECE_BYTES } else { PIECE_BYTES.max(unit) / unit * unit }
}

fn hashing(geometry: Geometry) -> Workers<OwnPiece, Hashed> {
    let unit = length(geometry.unit_bytes);
    let is_whole = geometry.unit_bytes <= MOST_PIECE_BYTES;
    Workers::new(Workers::<(), ()>::suitable(), move || {
        Box::new(move |piece: OwnPiece| {
            let hashes = if is_whole { piece.bytes.chunks(unit).map(hash).collect() } else { Vec::new() };
            Hashed { offset: piece.offset, bytes: Bytes::from_owner(piece.bytes), hashes }
        })
    })
}

/// A batch whose image is read ahead.
struct Ahead<'a, 'e> {
    view: &'a mut View,
    /// Those that were not handed on yet, and where they are.
    units: &'a mut VecDeque<u64>,
    places: VecDeque<Place>,
    hashing: &'a mut Workers<OwnPiece, Hashed>,
    /// What is there of the next unit of the image, where that is larger than a piece.
    partial: Vec<u8>,
    zero_hash: ZeroHash,
    each: Each<'e>,
}

impl Ahead<'_, '_> {
    fn read(&mut self, source: &Source) -> Result<(), Stop> {
        let (extents, piece_bytes) = (self.extents(), length(piece_bytes(self.view.geometry())));
        read_pieces(source, extents, piece_bytes, |piece| {
            self.hashing.push(piece);
            while (self.hashing.pending() > self.hashing.window() || self.hashing.is_ready())
                && let Some(hashed) = self.hashing.take()
            {
                self.take(hashed)?;
            }
            Ok(())
        })
        .or_else(|e| match e {
            // What was read before it is handed on, and not read again.
            Stop::Read(e) => self.take_all().and(Err(Stop::Read(e))),
            e => Err(e),
        })?;
        self.take_all()?;
        self.pass_others()
    }

    fn take_all(&mut self) -> Result<(), Stop> {
        while let Some(hashed) = self.hashing.take() {
            self.take(hashed)?;
        }
        Ok(())
    }

    /// What is read of the image, neighbours together if they can be in one piece.
    fn extents(&self) -> Vec<Extent> {
        let mut extents: Vec<Extent> = Vec::new();
        let are_small = self.view.geometry().unit_bytes <= MOST_PIECE_BYTES;
        for (&unit, _) in self.units.iter().zip(&self.places).filter(|(_, place)| **place == Place::Image) {
            let extent = self.view.geometry().extent(unit);
            match extents.last_mut() {
                Some(last) if are_small && last.end() == extent.offset => last.len += extent.len,
                _ => extents.push(extent),
            }
        }
        extents
    }

    /// A piece of the image: the units that are whole with it are handed on, and those that come before them.
    fn take(&mut self, piece: Hashed) -> Result<(), Stop> {
        let geometry = self.view.geometry();
        let first = geometry.unit_of(piece.offset);
        if !piece.hashes.is_empty() {
            let expected: Vec<_> =
                (first..).take(piece.hashes.len()).map(|unit| self.view.hash_of_image(unit)).collect();
            self.check_current()?;
            let mut rest = piece.bytes;
            for ((unit, hash), expected) in (first..).zip(piece.hashes).zip(expected) {
                let bytes = rest.split_to(length(geometry.extent(unit).len));
                self.pass_others()?;
                self.hand_on(Contents::Bytes(bytes), hash, expected)?;
            }
            return Ok(());
        }
        self.partial.extend_from_slice(&piece.bytes);
        if self.partial.len() < length(geometry.extent(first).len) {
            return Ok(());
        }
        let expected = self.view.hash_of_image(first);
        self.check_current()?;
        let bytes = std::mem::take(&mut self.partial);
        let found = hash(&bytes);
        self.pass_others()?;
        self.hand_on(Contents::Bytes(bytes.into()), found, expected)
    }

    /// Image and hashes were read before this.
    fn check_current(&mut self) -> Result<(), Stop> {
        if self.view.catch_up()? { Err(Stop::Stale) } else { Ok(()) }
    }

    /// The next unit is this, or what the journal has of it: then it does not matter whether it has a hash any more.
    fn hand_on(
        &mut self,
        contents: Contents,
        hash: UnitHash,
        expected: anyhow::Result<UnitHash>,
    ) -> Result<(), Stop> {
        self.places.pop_front();
        let Some(unit) = self.units.pop_front() else { return Ok(()) };
        let found = match self.view.journaled(unit) {
            Ok(None) => expected.map(|expected| Unit { contents, hash, expected }),
            Ok(Some((bytes, expected))) => Ok(Unit::of(bytes, expected)),
            Err(e) => Err(e),
        };
        Ok((self.each)(unit, found)?)
    }

    /// Hands on what comes before the next unit of the image, or before the end.
    fn pass_others(&mut self) -> Result<(), Stop> {
        while let Some(&place) = self.places.front().filter(|place| **place != Place::Image) {
            match place {
                Place::Hole => self.pass_holes()?,
                Place::Undone => {
                    self.places.pop_front();
                    if let Some(unit) = self.units.pop_front() {
                        self.view.read_alone(unit, self.each)?;
                    }
                }
                Place::Known | Place::Image => {
                    self.places.pop_front();
                    if let Some(unit) = self.units.pop_front() {
                        let hash = self.zero_hash.of(self.view.geometry().extent(unit).len);
                        (self.each)(unit, Ok(Unit { contents: Contents::Zeros, hash, expected: hash }))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Holes, as many as follow one another: hashes first, then the journal is asked.
    fn pass_holes(&mut self) -> Result<(), Stop> {
        let count = self.places.iter().take_while(|place| **place == Place::Hole).count();
        let units = self.units.iter().take(count);
        let expected: Vec<_> = units.map(|&unit| (unit, self.view.hash_of_image(unit))).collect();
        self.check_current()?;
        for (unit, expected) in expected {
            let hash = self.zero_hash.of(self.view.geometry().extent(unit).len);
            self.hand_on(Contents::Zeros, hash, expected)?;
        }
        Ok(())
    }
}

/// Units are far smaller than memory.
#[allow(clippy::cast_possible_truncation)]
fn length(len: u64) -> usize {
    len as usize
}
