// SPDX-License-Identifier: GPL-3.0-or-later
//! Writing version 2: data are gathered into frames, frames are sealed, by several threads where that was asked for, and
//! written in their order. The bytes are the same with any number of threads.

use std::io;
use std::sync::Arc;

use super::description::{Header, Trailer};
use super::frame::Builder;
use super::payload::{Payload, Slice};
use super::record::{Chain, HEAD_BYTES, OPTIONAL, STREAM_MAGIC, TYPE_FRAME, TYPE_HEADER, TYPE_TRAILER};
use super::seal::{Sealed, Sealer, Unsealed};
use crate::blockio::{Filled, OwnPiece, Piece};
use crate::stream::Encode;
use crate::stream::output::{MIN_GIVEN_BYTES, Output};
use crate::stream::zeros::{Stretch, stretches};
use crate::units::{Era, Extent};
use crate::workers::Workers;

/// A frame is closed when it carries this much: enough to make its head and its system call cheap.
const FRAME_DATA_BYTES: usize = 1 << 20;

/// Zeros are looked for in units of a block, or of this size where blocks are larger: a hole in a big block is worth
/// having, but not one so small that it breaks the mirror into pieces.
const MAX_ZERO_UNIT: u64 = 64 << 10;

/// Writes version 2.
pub struct Encoder<W> {
    output: W,
    zero_unit: u64,
    level: Option<i32>,
    frame: Builder,
    sealing: Workers<Unsealed, io::Result<Sealed>>,
    /// Memory of records that were written.
    spare: Vec<Vec<u8>>,
    chain: Chain,
    next_number: u64,
    /// Bytes written.
    position: u64,
    /// A record could not be written: what follows would be of no use.
    broken: bool,
    trailer: Trailer,
}

impl<W: Output> Encoder<W> {
    /// An encoder onto an output; writes the header at once.
    ///
    /// `level` is zstd's, from 1 to 22; without it nothing is compressed. `next` is the era to continue from, 0
    /// where it is not known.
    pub fn new(output: W, header: &Header, level: Option<i32>, next: Era) -> io::Result<Self> {
        let mut encoder = Self {
            output,
            zero_unit: header.block_bytes.min(MAX_ZERO_UNIT),
            level,
            frame: Builder::new(),
            sealing: sealing(0, level),
            spare: Vec::new(),
            chain: Chain::default(),
            next_number: 0,
            position: STREAM_MAGIC.len() as u64,
            broken: false,
            trailer: Trailer {
                frames: 0,
                data_bytes: 0,
                zero_bytes: 0,
                next,
                passes: 0,
                freeze_nanoseconds: 0,
                hash: [0; 32],
            },
        };
        encoder.output.write_all(&STREAM_MAGIC)?;
        encoder.write_record(TYPE_HEADER, &header.pack())?;
        Ok(encoder)
    }

    /// Seals frames in several threads from now on. A frame is then written some time after it was closed.
    #[must_use]
    pub fn in_parallel(mut self) -> Self {
        self.sealing = sealing(Workers::<(), ()>::suitable(), self.level);
        self
    }

    /// What the trailer is to say of how the data came about, where that is known only in the end.
    pub fn conclude(&mut self, next: Era, passes: u32, freeze_nanoseconds: u64) {
        self.trailer.next = next;
        self.trailer.passes = passes;
        self.trailer.freeze_nanoseconds = freeze_nanoseconds;
    }

    /// Where in the stream the frame is, or will be, that holds the next piece; or one of those after it. Not known where
    /// frames are sealed in parallel: then it is where one before may be.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Appends an optional record, after what was handed over before.
    ///
    /// # Panics
    /// When the type does not say that it is optional, or the payload is longer than a record may be.
    pub fn optional(&mut self, kind: u32, payload: &[u8]) -> io::Result<()> {
        assert!(kind & OPTIONAL != 0, "type {kind:#x} is not optional");
        self.close_frame()?;
        self.write_record(kind, payload)
    }

    /// What it writes to.
    pub fn output_mut(&mut self) -> &mut W {
        &mut self.output
    }

    /// Appends bytes, which are those of the buffer where one is given.
    fn add(&mut self, offset: u64, bytes: &[u8], buffer: Option<&Arc<Filled>>) -> io::Result<()> {
        let mut at = 0;
        for Stretch { zeros, len } in stretches(bytes, offset, self.zero_unit) {
            let end = at + len;
            while at < end {
                let offset = offset + at as u64;
                if self.frame.is_full() || !self.frame.accepts(offset) {
                    self.close_frame()?;
                }
                if zeros {
                    self.frame.push_zeros(Extent { offset, len: len as u64 });
                    self.trailer.zero_bytes += len as u64;
                    at = end;
                    continue;
                }
                let part = at..at + self.fitting(offset, end - at);
                if part.is_empty() {
                    self.close_frame()?;
                    continue;
                }
                at = part.end;
                self.trailer.data_bytes += part.len() as u64;
                match buffer {
                    Some(buffer) if part.len() >= MIN_GIVEN_BYTES => {
                        self.frame.push_kept(offset, buffer, part);
                    }
                    _ => self.frame.push_data(offset, &bytes[part]),
                }
            }
        }
        Ok(())
    }

    /// How many of so many bytes of data at an offset go into this frame: in whole units.
    fn fitting(&self, offset: u64, len: usize) -> usize {
        let room = FRAME_DATA_BYTES - self.frame.data_bytes().min(FRAME_DATA_BYTES);
        if len <= room {
            return len;
        }
        let end = offset + room as u64;
        usize::try_from((end - end % self.zero_unit).saturating_sub(offset)).unwrap_or(room)
    }

    /// Ends the frame that is being filled: what was handed over so far will be written.
    pub fn close_frame(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let payload = self.frame.take(self.spare.pop().unwrap_or_default());
        let number = self.take_number();
        self.sealing.push(Unsealed { kind: TYPE_FRAME, number, payload, compressible: true });
        self.trailer.frames += 1;
        while self.sealing.pending() > self.sealing.window() || self.sealing.is_ready() {
            self.write_oldest()?;
        }
        Ok(())
    }

    /// Writes a record that holds no data, after all those before it.
    fn write_record(&mut self, kind: u32, payload: &[u8]) -> io::Result<()> {
        self.write_pending()?;
        let mut bytes = Payload::with_room(self.spare.pop().unwrap_or_default(), HEAD_BYTES);
        bytes.gather(payload);
        let number = self.take_number();
        self.sealing.push_here(Unsealed { kind, number, payload: bytes, compressible: false });
        self.write_oldest()
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    fn write_pending(&mut self) -> io::Result<()> {
        while self.sealing.pending() > 0 {
            self.write_oldest()?;
        }
        Ok(())
    }

    /// Writes the oldest record.
    fn write_oldest(&mut self) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("a part before this could not be written"));
        }
        let Some(sealed) = self.sealing.take() else { return Ok(()) };
        // Until it is out.
        self.broken = true;
        let Sealed { record, hash } = sealed?;
        for slice in record.slices() {
            match slice {
                Slice::Gathered(bytes) => self.output.write_all(bytes)?,
                Slice::Kept(buffer, part) => self.output.give(buffer, part)?,
            }
        }
        self.broken = false;
        self.position += record.len() as u64;
        self.chain.add(&hash);
        self.spare.push(record.gathered);
        Ok(())
    }
}

/// Each thread has a compressor of its own.
fn sealing(threads: usize, level: Option<i32>) -> Workers<Unsealed, io::Result<Sealed>> {
    Workers::new(threads, move || {
        let mut sealer = Sealer::new(level);
        Box::new(move |unsealed| sealer.seal(unsealed))
    })
}

impl<W: Output> Encode for Encoder<W> {
    fn piece(&mut self, piece: &Piece) -> io::Result<()> {
        self.add(piece.offset, piece.bytes, None)
    }

    fn own_piece(&mut self, piece: OwnPiece) -> io::Result<()> {
        // A compressor wants all in one place.
        if self.level.is_some() || piece.bytes.len() < MIN_GIVEN_BYTES {
            return self.piece(&piece.as_piece());
        }
        let bytes = Arc::new(piece.bytes);
        self.add(piece.offset, &bytes, Some(&bytes))
    }

    fn rest(&mut self) -> io::Result<()> {
        self.write_pending()?;
        self.sealing.rest();
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.close_frame()?;
        self.write_pending()?;
        self.trailer.hash = self.chain.value();
        let trailer = self.trailer.pack();
        self.write_record(TYPE_TRAILER, &trailer)?;
        self.output.flush()
    }
}
