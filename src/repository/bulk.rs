// SPDX-License-Identifier: GPL-3.0-or-later
//! Many units of a point, one after another, read ahead.
//!
//! What [`View::read`] does for one unit holds for many: the image is read first, then its hash, and then the journal is asked
//! whether a run that is under way may have overwritten it. How long ago it was read does not matter. Only when the
//! manifest was replaced meanwhile, all that was read ahead is thrown away, and read again.

use std::collections::VecDeque;

use thiserror::Error;

use super::hashes::{UnitHash, ZeroHash, hash};
use super::layout;
use super::view::View;
use crate::blockio::{Piece, ReadError, Source, read_extents};
use crate::units::Extent;

/// Units that are looked at together; what is under way is read to its end in between.
const BATCH: usize = 1 << 14;

/// What a unit holds.
#[derive(Clone, Copy, Debug)]
pub enum Contents<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// Zeros, which were not read.
    Zeros,
}

impl Contents<'_> {
    /// What this hashes to; zeros have the length of their unit.
    pub fn hash(self, len: u64, zero_hash: &mut ZeroHash) -> UnitHash {
        match self {
            Contents::Bytes(bytes) => hash(bytes),
            Contents::Zeros => zero_hash.of(len),
        }
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

/// Takes units: what each holds, and what that must hash to; or why it cannot be read.
pub type Each<'a> = &'a mut dyn FnMut(u64, anyhow::Result<(Contents<'_>, UnitHash)>) -> anyhow::Result<()>;

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
        loop {
            batch.extend(units.by_ref().take(BATCH - batch.len()));
            if batch.is_empty() {
                return Ok(());
            }
            let places = self.places(&batch, zeros)?;
            let mut ahead = Ahead {
                view: &mut *self,
                units: &mut batch,
                places,
                partial: Vec::new(),
                zero_hash: ZeroHash::default(),
                each: &mut *each,
            };
            match ahead.read(&source) {
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
        each(unit, found.map(|hash| (Contents::Bytes(&buf), hash)))
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

/// A batch whose image is read ahead.
struct Ahead<'a, 'e> {
    view: &'a mut View,
    /// Those that were not handed on yet, and where they are.
    units: &'a mut VecDeque<u64>,
    places: VecDeque<Place>,
    /// What is there of the next unit of the image, where that is not in one piece.
    partial: Vec<u8>,
    zero_hash: ZeroHash,
    each: Each<'e>,
}

impl Ahead<'_, '_> {
    fn read(&mut self, source: &Source) -> Result<(), Stop> {
        let extents = self.extents();
        read_extents(source, extents, |piece| self.take(&piece))?;
        self.pass_others()
    }

    /// What is read of the image, neighbours together.
    fn extents(&self) -> Vec<Extent> {
        let mut extents: Vec<Extent> = Vec::new();
        for (&unit, _) in self.units.iter().zip(&self.places).filter(|(_, place)| **place == Place::Image) {
            let extent = self.view.geometry().extent(unit);
            match extents.last_mut() {
                Some(last) if last.end() == extent.offset => last.len += extent.len,
                _ => extents.push(extent),
            }
        }
        extents
    }

    /// A piece of the image: the units that are whole with it are handed on, and those that come before them.
    fn take(&mut self, piece: &Piece) -> Result<(), Stop> {
        let mut bytes = piece.bytes;
        let mut whole = Vec::new();
        let of_image = self.units.iter().zip(&self.places).filter(|(_, place)| **place == Place::Image);
        let mut held = self.partial.len();
        let mut left = bytes.len();
        for (&unit, _) in of_image {
            let len = length(self.view.geometry().extent(unit).len);
            if held + left < len {
                break;
            }
            whole.push((len, self.view.hash_of_image(unit)));
            (held, left) = (0, left - (len - held));
        }
        // Image and hashes of all of them were read before this.
        if self.view.catch_up()? {
            return Err(Stop::Stale);
        }
        for (len, hash) in whole {
            self.pass_others()?;
            let missing = len - self.partial.len();
            let (now, rest) = bytes.split_at(missing);
            bytes = rest;
            if self.partial.is_empty() {
                self.hand_on(Contents::Bytes(now), hash)?;
            } else {
                let mut unit = std::mem::take(&mut self.partial);
                unit.extend_from_slice(now);
                self.hand_on(Contents::Bytes(&unit), hash)?;
                unit.clear();
                self.partial = unit;
            }
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// The next unit is this, or what the journal has of it: then it does not matter whether it has a hash any more.
    fn hand_on(&mut self, contents: Contents, hash: anyhow::Result<UnitHash>) -> Result<(), Stop> {
        self.places.pop_front();
        let Some(unit) = self.units.pop_front() else { return Ok(()) };
        match self.view.journaled(unit) {
            Ok(None) => (self.each)(unit, hash.map(|hash| (contents, hash)))?,
            Ok(Some((bytes, hash))) => (self.each)(unit, Ok((Contents::Bytes(&bytes), hash)))?,
            Err(e) => (self.each)(unit, Err(e))?,
        }
        Ok(())
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
                        (self.each)(unit, Ok((Contents::Zeros, hash)))?;
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
        let hashes: Vec<_> = units.map(|&unit| self.view.hash_of_image(unit)).collect();
        if self.view.catch_up()? {
            return Err(Stop::Stale);
        }
        for hash in hashes {
            self.hand_on(Contents::Zeros, hash)?;
        }
        Ok(())
    }
}

/// Units are far smaller than memory.
#[allow(clippy::cast_possible_truncation)]
fn length(len: u64) -> usize {
    len as usize
}
