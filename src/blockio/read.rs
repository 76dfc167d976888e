// SPDX-License-Identifier: GPL-3.0-or-later
//! Reading ranges of a device, in order, whole, or not at all.
//!
//! A range is cut into requests, each widened to the device's alignment, and the engine's queue is kept full of them. A request
//! that was not answered in full when its turn comes is read again by itself: a short read is then continued, an
//! interrupted one repeated, an end of data where there should be data is an error. So nothing here can loop for
//! ever, and nothing is handed on that was not read.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use thiserror::Error;

use super::ReadAt;
use super::buffers::{Buffers, Filled};
use super::engine::{self, Answer, Queue, Request, Tuning};
use crate::sys::{AlignedBuf, Direction};
use crate::units::Extent;

/// Bytes per request. With many under way that keeps up with `dd bs=4M`; larger ones no longer stay in the processor's caches until
/// they are written; smaller ones cost more to make.
const PIECE_BYTES: usize = 256 << 10;

/// Of all requests under way. A much deeper queue has smaller ones.
const BUFFER_BYTES: usize = 32 << 20;

/// Of all requests under way that are as large as whoever reads asks for.
const CHOSEN_BUFFER_BYTES: usize = 8 << 20;

/// The least request that a large run is cut into.
const MIN_PIECE_BYTES: usize = 64 << 10;

/// A part of an extent and its contents.
#[derive(Debug)]
pub struct Piece<'a> {
    /// The extent that this is a part of.
    pub extent: Extent,
    /// Where this part begins on the device.
    pub offset: u64,
    /// What it holds.
    pub bytes: &'a [u8],
}

impl Piece<'_> {
    /// Whether this is the first part of its extent.
    pub fn is_first(&self) -> bool {
        self.offset == self.extent.offset
    }
}

/// A read that failed, with the place.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The device reported an error.
    #[error("byte {offset}: {cause}")]
    Io {
        /// The first byte that cannot be read, to the device's alignment.
        offset: u64,
        /// What the system said.
        cause: io::Error,
    },
    /// The device ended before its size: it has shrunk since it was opened.
    #[error("byte {offset}: the device or file ends here; has it shrunk?")]
    Ended {
        /// The byte that is not there.
        offset: u64,
    },
}

impl ReadError {
    /// The one that an error was caused by, if one was.
    pub fn of(error: &anyhow::Error) -> Option<&Self> {
        error.chain().find_map(|cause| cause.downcast_ref())
    }

    /// The first byte that could not be read.
    pub fn offset(&self) -> u64 {
        match self {
            ReadError::Io { offset, .. } | ReadError::Ended { offset } => *offset,
        }
    }
}

/// The same as [`Piece`], to keep.
#[derive(Debug)]
pub struct OwnPiece {
    /// The extent that this is a part of.
    pub extent: Extent,
    /// Where this part begins on the device.
    pub offset: u64,
    /// What it holds.
    pub bytes: Filled,
}

impl OwnPiece {
    /// To look at.
    pub fn as_piece(&self) -> Piece<'_> {
        Piece { extent: self.extent, offset: self.offset, bytes: &self.bytes }
    }
}

/// Reads extents in the order given and hands their contents to `sink`, piece by piece.
///
/// Many requests are under way at a time where the source has a descriptor. The first error, of a read or of the sink, ends it, and
/// nothing is under way when this returns.
pub fn read_extents<E: From<ReadError>>(
    source: &dyn ReadAt,
    extents: impl IntoIterator<Item = Extent>,
    sink: impl FnMut(Piece) -> Result<(), E>,
) -> Result<(), E> {
    read_to_keep(source, extents, borrowing(sink))
}

/// The same, for a sink that keeps pieces for a while.
pub fn read_to_keep<E: From<ReadError>>(
    source: &dyn ReadAt,
    extents: impl IntoIterator<Item = Extent>,
    sink: impl FnMut(OwnPiece) -> Result<(), E>,
) -> Result<(), E> {
    let tuning = Tuning::current();
    let piece_bytes = (BUFFER_BYTES / length(tuning.depth.into())).clamp(MIN_PIECE_BYTES, PIECE_BYTES);
    read_parts(source, extents.into_iter(), piece_bytes, tuning, sink)
}

/// The same, for pieces of a length that the sink chooses: each but the last of an extent has that.
pub fn read_pieces<E: From<ReadError>>(
    source: &dyn ReadAt,
    extents: impl IntoIterator<Item = Extent>,
    piece_bytes: usize,
    sink: impl FnMut(OwnPiece) -> Result<(), E>,
) -> Result<(), E> {
    let tuning = Tuning::current();
    let depth = u32::try_from(CHOSEN_BUFFER_BYTES / piece_bytes).unwrap_or(u32::MAX).max(2);
    let tuning = Tuning { depth: tuning.depth.min(depth), ..tuning };
    read_parts(source, extents.into_iter(), piece_bytes, tuning, sink)
}

fn read_parts<E: From<ReadError>>(
    source: &dyn ReadAt,
    extents: impl Iterator<Item = Extent>,
    piece_bytes: usize,
    tuning: Tuning,
    sink: impl FnMut(OwnPiece) -> Result<(), E>,
) -> Result<(), E> {
    let mut parts = Parts::new(extents, piece_bytes).peekable();
    let first = parts.next();
    // A queue is not worth it for one request.
    let fd = parts.peek().and_then(|_| source.descriptor());
    let mut queue = engine::open(fd, tuning);
    deliver(source, &mut *queue, first.into_iter().chain(parts), sink)
}

/// A sink that keeps nothing.
pub(super) fn borrowing<E>(
    mut sink: impl FnMut(Piece) -> Result<(), E>,
) -> impl FnMut(OwnPiece) -> Result<(), E> {
    move |piece| sink(piece.as_piece())
}

/// Keeps a queue filled, and hands on what it answers.
pub(super) fn deliver<E: From<ReadError>>(
    source: &dyn ReadAt,
    queue: &mut dyn Queue,
    mut parts: impl Iterator<Item = Part>,
    mut sink: impl FnMut(OwnPiece) -> Result<(), E>,
) -> Result<(), E> {
    let mut under_way = VecDeque::new();
    let mut buffers: Option<Buffers> = None;
    loop {
        while under_way.len() < queue.depth()
            && let Some(part) = parts.next()
        {
            let (wide, align) = (Widened::new(source, part.range), source.align());
            let (buf, home) = buffers.get_or_insert_with(|| Buffers::new(part.room)).get(wide.span, align);
            let request = Request { direction: Direction::Read, buf, part: 0..wide.span, offset: wide.start };
            queue.start(request);
            under_way.push_back((part, wide, home));
        }
        let Some((part, wide, home)) = under_way.pop_front() else { return Ok(()) };
        let Answer { mut buf, result } =
            queue.take().map_err(|cause| ReadError::Io { offset: part.range.offset, cause })?;
        let wanted = match result {
            Ok(read) if read >= wide.wanted => wide.skip..wide.wanted,
            _ => read_widened(source, &mut buf, part.range)?,
        };
        sink(OwnPiece {
            extent: part.extent,
            offset: part.range.offset,
            bytes: Filled::new(buf, wanted, home),
        })?;
    }
}

/// A part of an extent that is read with one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    extent: Extent,
    range: Extent,
    /// As large as any part: buffers fit all.
    room: usize,
}

/// Extents cut into parts.
pub(super) struct Parts<I> {
    extents: I,
    most: usize,
    /// What is left of an extent, and where that begins.
    current: Option<(Extent, u64)>,
}

impl<I: Iterator<Item = Extent>> Parts<I> {
    pub(super) fn new(extents: I, most: usize) -> Self {
        Self { extents, most, current: None }
    }
}

impl<I: Iterator<Item = Extent>> Iterator for Parts<I> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        loop {
            match self.current {
                Some((extent, offset)) if offset < extent.end() => {
                    let len = (extent.end() - offset).min(self.most as u64);
                    self.current = Some((extent, offset + len));
                    return Some(Part { extent, range: Extent { offset, len }, room: self.most });
                }
                _ => {
                    let extent = self.extents.next()?;
                    self.current = Some((extent, extent.offset));
                }
            }
        }
    }
}

/// A range widened to the alignment of its source.
#[derive(Clone, Copy, Debug)]
struct Widened {
    /// Where the request begins.
    start: u64,
    /// How long it is.
    span: usize,
    /// What was asked for is from here
    skip: usize,
    /// to here; beyond that the source may end.
    wanted: usize,
}

impl Widened {
    fn new(source: &dyn ReadAt, extent: Extent) -> Self {
        let align = source.align() as u64;
        let start = extent.offset / align * align;
        let skip = length(extent.offset - start);
        let wanted = skip + length(extent.len);
        Self { start, span: wanted.next_multiple_of(length(align)), skip, wanted }
    }
}

/// Fills a whole buffer from an offset; both must be aligned as the device demands.
pub fn read_exact(source: &dyn ReadAt, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
    read_until(source, buf, offset, buf.len())
}

/// Reads an extent into a larger buffer, widened to the alignment, and returns where in it is what was asked for.
fn read_widened(source: &dyn ReadAt, buf: &mut [u8], extent: Extent) -> Result<Range<usize>, ReadError> {
    let Widened { start, span, skip, wanted } = Widened::new(source, extent);
    read_until(source, &mut buf[..span], start, wanted).map_err(|e| locate(source, extent, e))?;
    Ok(skip..wanted)
}

/// Reads into `buf` until its first `wanted` bytes are there.
fn read_until(source: &dyn ReadAt, buf: &mut [u8], start: u64, wanted: usize) -> Result<(), ReadError> {
    let mut filled = 0;
    while filled < wanted {
        let at = start + filled as u64;
        let read = match source.read_at(&mut buf[filled..], at) {
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => return Err(ReadError::Io { offset: at, cause }),
        };
        let have = filled + read;
        if have >= wanted {
            return Ok(());
        }
        // Go on at an aligned place. A direct read that ends elsewhere has met the end of the data.
        let next = have / source.align() * source.align();
        if next == filled {
            return Err(ReadError::Ended { offset: start + have as u64 });
        }
        filled = next;
    }
    Ok(())
}

/// Finds the first unreadable unit of a request that failed as a whole, so that the message names the right block.
fn locate(source: &dyn ReadAt, extent: Extent, whole: ReadError) -> ReadError {
    let ReadError::Io { .. } = whole else { return whole };
    let unit = source.align().max(512);
    let mut buf = AlignedBuf::new(unit, unit);
    let mut at = extent.offset / unit as u64 * unit as u64;
    while at < extent.end() {
        // Only the part that lies in the extent must be there: a file may end inside its last unit.
        let wanted = length((extent.end() - at).min(unit as u64));
        if let Err(e @ ReadError::Io { .. }) = read_until(source, &mut buf, at, wanted) {
            return e;
        }
        at += unit as u64;
    }
    whole
}

/// Lengths here are bounded by the size of a buffer in memory.
#[allow(clippy::cast_possible_truncation)]
fn length(n: u64) -> usize {
    n as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blockio::faulty::{Faulty, pattern};

    fn read_all(source: &dyn ReadAt, extents: &[Extent]) -> Result<Vec<(u64, Vec<u8>)>, ReadError> {
        let mut pieces = Vec::new();
        read_extents(source, extents.iter().copied(), |p| {
            pieces.push((p.offset, p.bytes.to_vec()));
            Ok::<_, ReadError>(())
        })?;
        Ok(pieces)
    }

    fn extent(offset: u64, len: u64) -> Extent {
        Extent { offset, len }
    }

    #[test]
    fn long_extents_come_in_pieces_and_in_order() {
        let source = Faulty::new(4 << 20, 4096);
        let pieces = read_all(&source, &[extent(4096, 5 << 19), extent(3 << 20, 4096)]).unwrap();
        let ranges: Vec<_> = pieces.iter().map(|(o, b)| (*o, b.len() as u64)).collect();
        let piece = PIECE_BYTES as u64;
        let long: Vec<_> = (0..10).map(|i| (4096 + i * piece, piece)).collect();
        assert_eq!(ranges, [&long[..], &[(3 << 20, 4096)]].concat());
        for (offset, bytes) in pieces {
            assert!(bytes.iter().zip(offset..).all(|(&b, at)| b == pattern(at)));
        }
    }

    #[test]
    fn short_and_interrupted_reads_are_continued() {
        let mut source = Faulty::new(1 << 20, 4096);
        source.short = Some(4096);
        source.interrupt_every = Some(3);
        let pieces = read_all(&source, &[extent(4096, 900_000)]).unwrap();
        let bytes: Vec<_> = pieces.into_iter().flat_map(|(_, bytes)| bytes).collect();
        assert_eq!(bytes, (4096..904_096).map(pattern).collect::<Vec<_>>());
    }

    #[test]
    fn a_buffered_read_may_stop_anywhere() {
        let mut source = Faulty::new(10_000, 1);
        source.short = Some(7);
        assert_eq!(
            read_all(&source, &[extent(3, 9_997)]).unwrap()[0].1,
            (3..10_000).map(pattern).collect::<Vec<_>>()
        );
    }

    #[test]
    fn an_error_names_the_first_bad_unit() {
        let mut source = Faulty::new(1 << 20, 4096);
        source.bad = Some(extent(500_000, 1));
        let e = read_all(&source, &[extent(0, 1 << 20)]).unwrap_err();
        assert_eq!(e.offset(), 500_000 / 4096 * 4096);
        assert!(matches!(e, ReadError::Io { .. }));
    }

    #[test]
    fn a_device_that_shrank_is_an_error_and_not_a_loop() {
        for real in [0, 4096, 5000, 8191] {
            let mut source = Faulty::new(1 << 20, 4096);
            source.ends_at = real;
            let e = read_all(&source, &[extent(0, 8192)]).unwrap_err();
            assert!(matches!(e, ReadError::Ended { offset } if offset == real), "{real}: {e}");
        }
    }
}
