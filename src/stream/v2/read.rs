// SPDX-License-Identifier: GPL-3.0-or-later
//! Reading version 2: nothing is believed before it is checked, and no length before it is bounded.

use std::io::Read;

use super::description::{Header, Trailer};
use super::frame;
use super::record::{
    Chain, FLAG_ZSTD, HEAD_BYTES, Head, MAX_PAYLOAD_BYTES, OPTIONAL, TYPE_FRAME, TYPE_HEADER, TYPE_TRAILER,
};
use crate::blockio::{ReadAt, read_exact};
use crate::stream::error::{Fault, StreamError};
use crate::stream::input::Input;
use crate::stream::{Summary, Version, Visitor};
use crate::units::Extent;

/// Reads the records of a stream whose magic bytes have been read already, up to the end of the input.
pub(in crate::stream) fn read(
    input: &mut Input<impl Read>,
    visitor: &mut dyn Visitor,
) -> anyhow::Result<Summary> {
    let mut records = Records::new(input);
    let header = records.header()?;
    visitor.begin(Some(&header))?;
    let mut summary = Summary { version: Version::V2, ..Summary::empty() };
    let (trailer, at) = loop {
        let record = records.next()?;
        let at = record.offset;
        match record.kind {
            TYPE_FRAME => deliver(&record, &header, visitor, &mut summary)?,
            TYPE_TRAILER => break (Trailer::unpack(record.payload).map_err(|fault| fault.at(at))?, at),
            kind if kind & OPTIONAL != 0 => visitor.optional(kind, record.payload)?,
            TYPE_HEADER => {
                let kind = u64::from(TYPE_HEADER);
                return Err(Fault::value("type of a record after the first", kind, "not a header")
                    .at(at)
                    .into());
            }
            kind => return Err(Fault::UnknownRecord(kind).at(at).into()),
        }
    };
    check_trailer(&trailer, &summary, records.chain.value()).map_err(|fault| fault.at(at))?;
    summary.stream_bytes = input.position();
    match input.fill(&mut [0])? {
        0 => {}
        _ => return Err(Fault::TrailingBytes.at(summary.stream_bytes).into()),
    }
    summary.ended = true;
    summary.frame = Some((header, trailer));
    Ok(summary)
}

/// One record of a stream that is read at a place, not from its beginning.
#[derive(Debug)]
pub struct Lone {
    /// Where the next one begins.
    pub next: u64,
    /// What is in it, where it is a frame: extents, and the bytes of those that hold data.
    pub contents: Vec<(Extent, Option<Vec<u8>>)>,
}

/// Reads the record at an offset. Its checksums are checked, and what it says of itself; not whether it belongs there.
pub fn read_record_at(file: &dyn ReadAt, offset: u64, device_bytes: u64) -> anyhow::Result<Lone> {
    let mut head_bytes = [0; HEAD_BYTES];
    read_exact(file, &mut head_bytes, offset)?;
    let head = Head::unpack(&head_bytes).map_err(|fault| fault.at(offset))?;
    check_flags(&head).map_err(|fault| fault.at(offset))?;
    let mut stored = vec![0; head.stored_bytes as usize];
    read_exact(file, &mut stored, offset + HEAD_BYTES as u64)?;
    check_payload(&head, &stored).map_err(|fault| fault.at(offset))?;
    let mut lone = Lone { next: offset + HEAD_BYTES as u64 + stored.len() as u64, contents: Vec::new() };
    match head.kind {
        TYPE_FRAME => {}
        TYPE_TRAILER => {
            return Err(Fault::Truncated("a unit that began in a frame before").at(offset).into());
        }
        _ => return Ok(lone),
    }
    if head.is_compressed() {
        let mut plain = Vec::new();
        decompress(&stored, &mut plain, head.plain_bytes).map_err(|fault| fault.at(offset))?;
        stored = plain;
    }
    let (entries, mut data) = frame::parse(&stored, device_bytes).map_err(|fault| fault.at(offset))?;
    for entry in entries {
        let bytes = if entry.zeros {
            None
        } else {
            let (bytes, rest) = data.split_at(usize::try_from(entry.extent.len)?);
            data = rest;
            Some(bytes.to_vec())
        };
        lone.contents.push((entry.extent, bytes));
    }
    Ok(lone)
}

fn deliver(
    record: &Record,
    header: &Header,
    visitor: &mut dyn Visitor,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let (entries, mut data) =
        frame::parse(record.payload, header.device_bytes).map_err(|fault| fault.at(record.offset))?;
    for entry in entries {
        if entry.zeros {
            visitor.zeros(entry.extent)?;
            summary.zero_bytes = summary.zero_bytes.saturating_add(entry.extent.len);
        } else {
            // The table was checked against the data: there are that many bytes.
            let (bytes, rest) = data.split_at(usize::try_from(entry.extent.len)?);
            visitor.data(entry.extent.offset, bytes)?;
            summary.data_bytes += entry.extent.len;
            data = rest;
        }
    }
    summary.records += 1;
    Ok(())
}

fn check_trailer(trailer: &Trailer, summary: &Summary, hash: [u8; 32]) -> Result<(), Fault> {
    if trailer.hash != hash {
        return Err(Fault::Hash);
    }
    for (what, says, counted) in [
        ("number of frames in the trailer", trailer.frames, summary.records),
        ("bytes of data in the trailer", trailer.data_bytes, summary.data_bytes),
        ("bytes of zeros in the trailer", trailer.zero_bytes, summary.zero_bytes),
    ] {
        if says != counted {
            return Err(Fault::value(what, says, format!("{counted}")));
        }
    }
    Ok(())
}

/// A checked and decompressed record.
struct Record<'a> {
    kind: u32,
    /// Where its head stands in the stream.
    offset: u64,
    payload: &'a [u8],
}

/// Reads one record after another into buffers that are used again.
struct Records<'a, R> {
    input: &'a mut Input<R>,
    next_number: u64,
    chain: Chain,
    stored: Vec<u8>,
    plain: Vec<u8>,
}

impl<'a, R: Read> Records<'a, R> {
    fn new(input: &'a mut Input<R>) -> Self {
        Self { input, next_number: 0, chain: Chain::default(), stored: Vec::new(), plain: Vec::new() }
    }

    fn header(&mut self) -> Result<Header, StreamError> {
        let record = self.next()?;
        if record.kind != TYPE_HEADER {
            return Err(
                Fault::value("type of the first record", record.kind, "1, a header").at(record.offset)
            );
        }
        Header::unpack(record.payload).map_err(|fault| fault.at(record.offset))
    }

    fn next(&mut self) -> Result<Record<'_>, StreamError> {
        let offset = self.input.position();
        let mut head_bytes = [0; HEAD_BYTES];
        match self.input.fill(&mut head_bytes)? {
            0 => return Err(Fault::NoTrailer.at(offset)),
            HEAD_BYTES => {}
            _ => return Err(Fault::Truncated("a record's head").at(self.input.position())),
        }
        let head = Head::unpack(&head_bytes).map_err(|fault| fault.at(offset))?;
        if head.number != self.next_number {
            return Err(Fault::Sequence { found: head.number, expected: self.next_number }.at(offset));
        }
        check_flags(&head).map_err(|fault| fault.at(offset))?;
        self.stored.resize(head.stored_bytes as usize, 0);
        self.input.exact(&mut self.stored, "a record")?;
        check_payload(&head, &self.stored).map_err(|fault| fault.at(offset))?;
        if head.kind != TYPE_TRAILER {
            self.chain.add(&head_bytes, &self.stored);
        }
        self.next_number += 1;
        let payload = if head.kind == TYPE_FRAME && head.is_compressed() {
            decompress(&self.stored, &mut self.plain, head.plain_bytes).map_err(|fault| fault.at(offset))?;
            &self.plain
        } else {
            &self.stored
        };
        Ok(Record { kind: head.kind, offset, payload })
    }
}

fn check_payload(head: &Head, stored: &[u8]) -> Result<(), Fault> {
    let computed = crc32c::crc32c(stored);
    match computed == head.payload_crc {
        true => Ok(()),
        false => Err(Fault::Checksum { what: "a record", stored: head.payload_crc, computed }),
    }
}

/// Of a record that may be skipped nothing but number, length and checksums is checked: the rest is for those who know it.
fn check_flags(head: &Head) -> Result<(), Fault> {
    if head.kind & OPTIONAL != 0 {
        return Ok(());
    }
    let known = if head.kind == TYPE_FRAME { FLAG_ZSTD } else { 0 };
    if head.flags & !known != 0 {
        return Err(Fault::value("flags of a record", head.flags, format!("none but {known}")));
    }
    if !head.is_compressed() && head.plain_bytes != head.stored_bytes {
        return Err(Fault::value(
            "decompressed length of a record",
            head.plain_bytes,
            format!("{}, its length", head.stored_bytes),
        ));
    }
    Ok(())
}

/// Decompresses to exactly the announced length, which is bounded.
fn decompress(stored: &[u8], plain: &mut Vec<u8>, plain_bytes: u32) -> Result<(), Fault> {
    debug_assert!(plain_bytes as usize <= MAX_PAYLOAD_BYTES);
    plain.resize(plain_bytes as usize, 0);
    match zstd::bulk::decompress_to_buffer(stored, plain.as_mut_slice()) {
        Ok(len) if len == plain.len() => Ok(()),
        Ok(len) => Err(Fault::Compression(format!("{len} bytes where {plain_bytes} were announced"))),
        Err(e) => Err(Fault::Compression(e.to_string())),
    }
}
