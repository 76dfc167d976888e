// SPDX-License-Identifier: GPL-3.0-or-later
//! A point goes back onto a device, or into a file. Every blob is checked before it is written.

use std::collections::VecDeque;

use anyhow::{Context, bail};
use bytes::Bytes;
use rustic_core::DataId;

use super::archive::Archive;
use super::image::{Contents, Image, Piece};
use crate::blockio::WriteAt;
use crate::report::Progress;
use crate::repository::Geometry;
use crate::repository::target::{Restored, Target};
use crate::runs::BlockSet;
use crate::units::Extent;
use crate::workers::Workers;

/// Blobs that are fetched at a time: most of the time goes by with waiting for a server. Twice as many are in memory, of at
/// most 1 MiB each, as a segment has no more.
const READERS: usize = 16;

/// A blob, and where it is on the device.
type Job = (Extent, DataId);

/// What a blob holds, or why it cannot be had.
pub type Fetched = (Extent, anyhow::Result<Bytes>);

/// Threads that fetch blobs.
pub fn readers(archive: &Archive) -> Workers<Job, Fetched> {
    let archive = archive.clone();
    Workers::new(READERS, move || {
        let archive = archive.clone();
        Box::new(move |(extent, id)| (extent, archive.read(&id)))
    })
}

/// What is to be written: these units of the device.
#[derive(Clone, Copy)]
pub struct Only<'a> {
    /// How the device is divided into units.
    pub geometry: Geometry,
    /// Those that are wanted.
    pub units: &'a BlockSet,
}

/// Writes a point to a target that nobody else uses: all, or some units. In a target that is `blank`, as a new file is, zeros are
/// there already.
pub fn restore(
    image: &mut Image,
    target: &dyn WriteAt,
    blank: bool,
    only: Option<Only>,
    progress: &Progress,
) -> anyhow::Result<Restored> {
    let mut target = Target::begin(target, blank, image.layout().device_bytes())?;
    each_bytes(image, only, progress, &mut |extent, bytes| match bytes {
        Some(bytes) => parts(extent, only).try_for_each(|part| {
            let begin = usize::try_from(part.offset - extent.offset)?;
            target.bytes(part.offset, &bytes[begin..begin + usize::try_from(part.len)?])
        }),
        None => parts(extent, only).try_for_each(|part| target.zeros(part)),
    })?;
    target.finish()
}

/// Takes what an extent holds; `None` for zeros.
pub type Take<'a> = &'a mut dyn FnMut(Extent, Option<&[u8]>) -> anyhow::Result<()>;

/// Reads a point, or what has wanted units of it, from its beginning to its end.
pub fn each_bytes<'a>(
    image: &mut Image,
    only: Option<Only<'a>>,
    progress: &'a Progress,
    take: Take<'a>,
) -> anyhow::Result<()> {
    let mut fetching = Fetching {
        what: image.what().to_owned(),
        readers: readers(image.archive()),
        order: VecDeque::new(),
        only,
        progress,
        take,
    };
    let wanted = |extent| parts(extent, only).next().is_some();
    image.pieces(&wanted, &mut |piece| fetching.add(piece))?;
    while !fetching.order.is_empty() {
        fetching.hand_on()?;
    }
    Ok(())
}

/// Blobs that are being fetched.
struct Fetching<'a> {
    what: String,
    readers: Workers<Job, Fetched>,
    /// What comes next: zeros, or else what the readers have next.
    order: VecDeque<Option<Extent>>,
    only: Option<Only<'a>>,
    progress: &'a Progress,
    take: Take<'a>,
}

impl Fetching<'_> {
    fn add(&mut self, piece: Piece) -> anyhow::Result<()> {
        match piece.contents {
            Contents::Zeros => self.order.push_back(Some(piece.extent)),
            Contents::Blob(id) => {
                self.readers.push((piece.extent, id));
                self.order.push_back(None);
            }
        }
        while self.order.front().is_some_and(Option::is_some)
            || self.readers.pending() > self.readers.window()
        {
            self.hand_on()?;
        }
        Ok(())
    }

    fn hand_on(&mut self) -> anyhow::Result<()> {
        let Some(next) = self.order.pop_front() else { return Ok(()) };
        let (extent, bytes) = match next {
            Some(zeros) => (zeros, None),
            None => {
                let (extent, fetched) = self.readers.take().context("a blob was not asked for")?;
                let place = || format!("{}: bytes {} to {}", self.what, extent.offset, extent.end());
                let bytes = fetched.with_context(place)?;
                if bytes.len() as u64 != extent.len {
                    bail!("{}: there are {}, says the blob", place(), bytes.len());
                }
                (extent, Some(bytes))
            }
        };
        (self.take)(extent, bytes.as_deref())?;
        self.progress.advance(parts(extent, self.only).map(|part| part.len).sum());
        Ok(())
    }
}

/// The parts of a range of bytes that are wanted.
fn parts(extent: Extent, only: Option<Only>) -> Box<dyn Iterator<Item = Extent> + '_> {
    let Some(Only { geometry, units }) = only else { return Box::new(std::iter::once(extent)) };
    let touched = geometry.touched(extent);
    let wanted = units.runs_in(touched).filter_map(move |run| {
        let begin = (run.begin * geometry.unit_bytes).max(extent.offset);
        let end = (run.end * geometry.unit_bytes).min(extent.end());
        (begin < end).then(|| Extent { offset: begin, len: end - begin })
    });
    Box::new(wanted)
}
