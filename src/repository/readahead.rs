// SPDX-License-Identifier: GPL-3.0-or-later
//! Units of a point for somebody who reads it from one end to the other: a thread reads and checks them before they are asked for.
//!
//! How far it is ahead is bounded, and so is what is kept of the units that were asked for: several requests may be under way
//! at once, and come a little out of order. Whatever is not found here, because it is damaged, too far back or too far
//! ahead, is for the caller to read by itself, who so meets the same error where there is one.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::anyhow;
use bytes::Bytes;

use super::bulk::{Contents, Zeros};
use super::geometry::Geometry;
use super::points::Selector;
use super::view::View;

/// Bytes of units that wait to be asked for, besides those that are being read.
const AHEAD_BYTES: u64 = 2 << 20;

/// Bytes of units that are kept when others behind them were asked for.
const BEHIND_BYTES: u64 = 2 << 20;

/// A thread that reads a point from some unit on.
#[derive(Debug)]
pub(super) struct Readahead {
    point: u64,
    geometry: Geometry,
    /// The next unit that comes.
    next: u64,
    /// Those that came last, in order.
    kept: VecDeque<(u64, Option<Bytes>)>,
    /// `None` for one that is not what it was.
    units: Option<Receiver<(u64, Option<Bytes>)>>,
    thread: Option<JoinHandle<()>>,
}

impl Readahead {
    /// Begins.
    pub(super) fn start(repository: &Path, point: u64, geometry: Geometry, first: u64) -> io::Result<Self> {
        let (sender, units) = sync_channel(room(AHEAD_BYTES, geometry));
        let repository = repository.to_owned();
        let thread = thread::Builder::new().name("era readahead".into()).spawn(move || {
            // Where it fails the units are not there; who reads them by itself finds out why.
            let _ = read(&repository, point, first, &sender);
        })?;
        let kept = VecDeque::new();
        Ok(Self { point, geometry, next: first, kept, units: Some(units), thread: Some(thread) })
    }

    /// Whether a unit is here, or about to come.
    pub(super) fn covers(&self, point: u64, unit: u64) -> bool {
        let oldest = self.kept.front().map_or(self.next, |(oldest, _)| *oldest);
        let coming = if self.units.is_some() { room(AHEAD_BYTES, self.geometry) as u64 } else { 0 };
        self.point == point && (oldest..self.next + coming).contains(&unit)
    }

    /// A unit that is covered; waits for it. `None` where it cannot be had from here.
    pub(super) fn get(&mut self, unit: u64) -> Option<Bytes> {
        while self.next <= unit {
            let came = self.units.as_ref()?.recv().ok().filter(|(came, _)| *came == self.next);
            let Some((_, bytes)) = came else {
                // It has come to the end, or to an error.
                self.units = None;
                return None;
            };
            if self.kept.len() > room(BEHIND_BYTES, self.geometry) {
                self.kept.pop_front();
            }
            self.kept.push_back((self.next, bytes));
            self.next += 1;
        }
        self.kept.iter().rev().find(|(kept, _)| *kept == unit)?.1.clone()
    }
}

impl Drop for Readahead {
    fn drop(&mut self) {
        // The thread meets a closed channel with the next unit that it has.
        self.units = None;
        self.kept.clear();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How many units that many bytes are.
fn room(bytes: u64, geometry: Geometry) -> usize {
    usize::try_from(bytes / geometry.unit_bytes).unwrap_or(usize::MAX).max(1)
}

/// A unit that is smaller is copied out of the buffer that it was read into, which may have room for many.
const MIN_BYTES_IN_PLACE: usize = 64 << 10;

fn read(
    repository: &Path,
    point: u64,
    first: u64,
    to: &SyncSender<(u64, Option<Bytes>)>,
) -> anyhow::Result<()> {
    let mut view = View::open(repository, Selector::Id(point))?;
    let geometry = view.geometry();
    let zeros = Bytes::from(vec![0; usize::try_from(geometry.unit_bytes)?]);
    view.read_units(first..geometry.units(), Zeros::Read, &mut |unit, found| {
        let len = usize::try_from(geometry.extent(unit).len)?;
        let bytes =
            found.ok().filter(|found| found.hash == found.expected).map(|found| match found.contents {
                Contents::Bytes(bytes) if len < MIN_BYTES_IN_PLACE => Bytes::copy_from_slice(&bytes),
                Contents::Bytes(bytes) => bytes,
                Contents::Zeros => zeros.slice(..len),
            });
        to.send((unit, bytes)).map_err(|_| anyhow!("nobody asks for more"))
    })
}
