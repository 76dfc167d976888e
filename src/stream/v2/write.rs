// SPDX-License-Identifier: GPL-3.0-or-later
//! Writing version 2.

use std::io::{self, Write};

use super::description::{Header, Trailer};
use super::frame::Builder;
use super::record::{
    Chain, FLAG_ZSTD, HEAD_BYTES, Head, MAX_PAYLOAD_BYTES, OPTIONAL, STREAM_MAGIC, TYPE_FRAME, TYPE_HEADER,
    TYPE_TRAILER,
};
use crate::blockio::Piece;
use crate::stream::Encode;
use crate::stream::zeros::is_zero;
use crate::units::{Era, Extent};

/// A frame is closed when it carries this much: enough to make its head and its system call cheap.
const FRAME_DATA_BYTES: usize = 1 << 20;

/// Zeros are looked for in units of a block, or of this size where blocks are larger: a hole in a big block is worth
/// having, but not one so small that it breaks the mirror into pieces.
const MAX_ZERO_UNIT: u64 = 64 << 10;

/// Writes version 2.
pub struct Encoder<W> {
    output: W,
    zero_unit: u64,
    compressor: Option<zstd::bulk::Compressor<'static>>,
    frame: Builder,
    plain: Vec<u8>,
    record: Vec<u8>,
    chain: Chain,
    next_number: u64,
    /// Bytes written.
    position: u64,
    trailer: Trailer,
}

impl<W: Write> Encoder<W> {
    /// An encoder onto an output; writes the header at once.
    ///
    /// `level` is zstd's, from 1 to 22; without it nothing is compressed. `next` is the era to continue from, 0
    /// where it is not known.
    pub fn new(output: W, header: &Header, level: Option<i32>, next: Era) -> io::Result<Self> {
        let mut encoder = Self {
            output,
            zero_unit: header.block_bytes.min(MAX_ZERO_UNIT),
            compressor: level.map(zstd::bulk::Compressor::new).transpose()?,
            frame: Builder::default(),
            plain: Vec::new(),
            record: Vec::new(),
            chain: Chain::default(),
            next_number: 0,
            position: STREAM_MAGIC.len() as u64,
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
        encoder.write_record(TYPE_HEADER, &header.pack(), None)?;
        Ok(encoder)
    }

    /// What the trailer is to say of how the data came about, where that is known only in the end.
    pub fn conclude(&mut self, next: Era, passes: u32, freeze_nanoseconds: u64) {
        self.trailer.next = next;
        self.trailer.passes = passes;
        self.trailer.freeze_nanoseconds = freeze_nanoseconds;
    }

    /// Where in the stream the frame is, or will be, that holds the next piece; or one of those after it.
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
        self.write_record(kind, payload, None)
    }

    /// What it writes to.
    pub fn output_mut(&mut self) -> &mut W {
        &mut self.output
    }

    /// Writes what was handed over so far.
    pub fn close_frame(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        self.frame.take_payload(&mut plain);
        let compressed = match &mut self.compressor {
            Some(compressor) => Some(compressor.compress(&plain)?).filter(|c| c.len() < plain.len()),
            None => None,
        };
        self.write_record(TYPE_FRAME, &plain, compressed.as_deref())?;
        self.plain = plain;
        self.trailer.frames += 1;
        Ok(())
    }

    /// Writes a record with one system call.
    fn write_record(&mut self, kind: u32, plain: &[u8], compressed: Option<&[u8]>) -> io::Result<()> {
        let stored = compressed.unwrap_or(plain);
        let head = Head {
            kind,
            flags: if compressed.is_some() { FLAG_ZSTD } else { 0 },
            number: self.next_number,
            stored_bytes: length(stored),
            plain_bytes: length(plain),
            payload_crc: crc32c::crc32c(stored),
        }
        .pack();
        self.record.clear();
        self.record.reserve(HEAD_BYTES + stored.len());
        self.record.extend_from_slice(&head);
        self.record.extend_from_slice(stored);
        self.output.write_all(&self.record)?;
        self.position += self.record.len() as u64;
        if kind != TYPE_TRAILER {
            self.chain.add(&head, stored);
        }
        self.next_number += 1;
        Ok(())
    }
}

impl<W: Write> Encode for Encoder<W> {
    fn piece(&mut self, piece: &Piece) -> io::Result<()> {
        let (mut offset, mut bytes) = (piece.offset, piece.bytes);
        while !bytes.is_empty() {
            let to_boundary = self.zero_unit - offset % self.zero_unit;
            let (unit, rest) =
                bytes.split_at(usize::try_from(to_boundary).unwrap_or(usize::MAX).min(bytes.len()));
            let len = unit.len() as u64;
            if self.frame.is_full()
                || self.frame.data_bytes() + unit.len() > FRAME_DATA_BYTES
                || !self.frame.accepts(offset)
            {
                self.close_frame()?;
            }
            if is_zero(unit) {
                self.frame.push_zeros(Extent { offset, len });
                self.trailer.zero_bytes += len;
            } else {
                self.frame.push_data(offset, unit);
                self.trailer.data_bytes += len;
            }
            (offset, bytes) = (offset + len, rest);
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.close_frame()?;
        self.trailer.hash = self.chain.value();
        let trailer = self.trailer.pack();
        self.write_record(TYPE_TRAILER, &trailer, None)?;
        self.output.flush()
    }
}

/// Payloads are bounded far below 4 GiB.
#[allow(clippy::cast_possible_truncation)]
fn length(payload: &[u8]) -> u32 {
    assert!(payload.len() <= MAX_PAYLOAD_BYTES);
    payload.len() as u32
}
