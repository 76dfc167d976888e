// SPDX-License-Identifier: GPL-3.0-or-later
//! Version 1, the stream of the classic `era_copy` and `era_apply`.
//!
//! Records until the input ends: `ERARANGE`, offset i64, length i64, little-endian, then as many bytes of data. Nothing in
//! it says that it is complete: a sender that dies between two records leaves a valid stream. So our streams
//! end with a record of offset 0 and length 0, which the classic reader passes over.

use std::io::{self, BufWriter, Read, Write};

use super::input::Input;
use super::output::{MIN_GIVEN_BYTES, Output};
use super::{Encode, Fault, Summary, Version, Visitor};
use crate::blockio::{OwnPiece, Piece};
use crate::units::Extent;

pub(super) const MAGIC: [u8; 8] = *b"ERARANGE";

/// Data are handed on in parts of this size, whatever length a record claims: small enough to be in the processor's caches still
/// when they are written.
const PART_BYTES: usize = 128 << 10;

/// Small records are written together.
const BUFFER_BYTES: usize = 128 << 10;

/// Writes version 1.
pub struct Encoder<W: Output> {
    output: BufWriter<W>,
}

impl<W: Output> Encoder<W> {
    /// An encoder onto an output.
    pub fn new(output: W) -> Self {
        Self { output: BufWriter::with_capacity(BUFFER_BYTES, output) }
    }

    fn head(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let mut head = [0; 24];
        head[..8].copy_from_slice(&MAGIC);
        head[8..16].copy_from_slice(&offset.to_le_bytes());
        head[16..].copy_from_slice(&len.to_le_bytes());
        self.output.write_all(&head)
    }
}

impl<W: Output> Encode for Encoder<W> {
    fn piece(&mut self, piece: &Piece) -> io::Result<()> {
        if piece.is_first() {
            self.head(piece.extent.offset, piece.extent.len)?;
        }
        self.output.write_all(piece.bytes)
    }

    fn own_piece(&mut self, piece: OwnPiece) -> io::Result<()> {
        if piece.bytes.len() < MIN_GIVEN_BYTES {
            return self.piece(&piece.as_piece());
        }
        let OwnPiece { extent, offset, bytes } = piece;
        if offset == extent.offset {
            self.head(extent.offset, extent.len)?;
        }
        self.output.flush()?;
        self.output.get_mut().give(&bytes, 0..bytes.len())
    }

    fn rest(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.head(0, 0)?;
        self.output.flush()
    }
}

/// Reads records to the end of the input; the magic bytes of the first have been read already.
pub(super) fn read(input: &mut Input<impl Read>, visitor: &mut dyn Visitor) -> anyhow::Result<Summary> {
    let mut summary = Summary { version: Version::V1, ..Summary::empty() };
    let mut part = vec![0; PART_BYTES];
    visitor.begin(None)?;
    loop {
        let at = input.position() - MAGIC.len() as u64;
        let extent = read_range(input, at)?;
        // The marker may also stand in the middle, where streams were put one after another.
        summary.ended = extent == Extent { offset: 0, len: 0 };
        if extent.len > 0 {
            visitor.record(extent)?;
            read_data(input, extent, &mut part, visitor)?;
            summary.records += 1;
            summary.data_bytes += extent.len;
        }
        let mut magic = [0; 8];
        let start = input.position();
        match input.fill(&mut magic)? {
            0 => break,
            8 if magic == MAGIC => {}
            8 => return Err(Fault::NotARecord.at(start).into()),
            _ => return Err(Fault::Truncated("a record's head").at(input.position()).into()),
        }
    }
    summary.stream_bytes = input.position();
    Ok(summary)
}

fn read_range(input: &mut Input<impl Read>, at: u64) -> anyhow::Result<Extent> {
    let (mut offset, mut len) = ([0; 8], [0; 8]);
    input.exact(&mut offset, "a record's head")?;
    input.exact(&mut len, "a record's head")?;
    let (offset, len) = (i64::from_le_bytes(offset), i64::from_le_bytes(len));
    match (u64::try_from(offset), u64::try_from(len), offset.checked_add(len)) {
        (Ok(offset), Ok(len), Some(_)) => Ok(Extent { offset, len }),
        _ => Err(Fault::BadRange { offset, len }.at(at).into()),
    }
}

fn read_data(
    input: &mut Input<impl Read>,
    extent: Extent,
    part: &mut [u8],
    visitor: &mut dyn Visitor,
) -> anyhow::Result<()> {
    let mut at = extent.offset;
    while at < extent.end() {
        let len = usize::try_from(extent.end() - at).unwrap_or(usize::MAX).min(part.len());
        input.exact(&mut part[..len], "a record's data")?;
        visitor.data(at, &part[..len])?;
        at += len as u64;
    }
    Ok(())
}
