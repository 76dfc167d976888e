// SPDX-License-Identifier: GPL-3.0-or-later
//! Reading version 2: nothing is believed before it is checked, and no length before it is bounded.

use std::collections::VecDeque;
use std::io::Read;

use super::check::{Checked, Checker, Unchecked, check_flags, check_payload, decompress};
use super::description::{Header, Trailer};
use super::frame;
use super::record::{Chain, HEAD_BYTES, Head, OPTIONAL, TYPE_FRAME, TYPE_HEADER, TYPE_TRAILER};
use crate::blockio::{ReadAt, read_exact};
use crate::stream::error::{Fault, StreamError};
use crate::stream::input::Input;
use crate::stream::{Summary, Version, Visitor};
use crate::units::Extent;
use crate::workers::Workers;

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
            TYPE_TRAILER => break (Trailer::unpack(&record.payload).map_err(|fault| fault.at(at))?, at),
            kind if kind & OPTIONAL != 0 => visitor.optional(kind, &record.payload)?,
            TYPE_HEADER => {
                let kind = u64::from(TYPE_HEADER);
                return Err(Fault::value("type of a record after the first", kind, "not a header")
                    .at(at)
                    .into());
            }
            kind => return Err(Fault::UnknownRecord(kind).at(at).into()),
        }
        records.done_with(record);
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
        frame::parse(&record.payload, header.device_bytes).map_err(|fault| fault.at(record.offset))?;
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
struct Record {
    kind: u32,
    /// Where its head stands in the stream.
    offset: u64,
    payload: Vec<u8>,
}

/// Reads records ahead, has them checked by several threads, and hands them on in their order.
///
/// What is wrong with a record, or with what follows it, is told when all records before it have been handed on: just as if they were
/// read one by one.
struct Records<'a, R> {
    input: &'a mut Input<R>,
    next_number: u64,
    chain: Chain,
    checking: Workers<Unchecked, Checked>,
    /// Bytes of the records that are being checked, stored and decompressed.
    ahead_bytes: VecDeque<usize>,
    /// Nothing more is read: the trailer was, or this error was met.
    ended: Option<Result<(), StreamError>>,
    spare: Vec<Vec<u8>>,
}

/// As much is read ahead at most.
const MOST_AHEAD_BYTES: usize = 24 << 20;

/// Smaller records are checked sooner than they are handed to a thread.
const WORTH_A_THREAD: usize = 16 << 10;

impl<'a, R: Read> Records<'a, R> {
    fn new(input: &'a mut Input<R>) -> Self {
        let checking = Workers::new(Workers::<(), ()>::suitable(), || {
            let mut checker = Checker::default();
            Box::new(move |record| checker.check(record))
        });
        Self {
            input,
            next_number: 0,
            chain: Chain::default(),
            checking,
            ahead_bytes: VecDeque::new(),
            ended: None,
            spare: Vec::new(),
        }
    }

    fn header(&mut self) -> Result<Header, StreamError> {
        let record = self.next()?;
        if record.kind != TYPE_HEADER {
            return Err(
                Fault::value("type of the first record", record.kind, "1, a header").at(record.offset)
            );
        }
        Header::unpack(&record.payload).map_err(|fault| fault.at(record.offset))
    }

    /// The next record, whole and checked.
    fn next(&mut self) -> Result<Record, StreamError> {
        while self.ended.is_none() && self.has_room() && !self.checking.is_ready() {
            if let Err(e) = self.read_ahead() {
                self.ended = Some(Err(e));
            }
        }
        let Some(checked) = self.checking.take() else {
            return Err(match self.ended.replace(Ok(())) {
                Some(Err(e)) => e,
                // Not after a trailer, beyond which nobody asks.
                _ => Fault::NoTrailer.at(self.input.position()),
            });
        };
        self.ahead_bytes.pop_front();
        let (hash, payload) = checked.result.map_err(|fault| fault.at(checked.offset))?;
        if checked.kind != TYPE_TRAILER {
            self.chain.add(&hash);
        }
        Ok(Record { kind: checked.kind, offset: checked.offset, payload })
    }

    /// Takes back the memory of a record.
    fn done_with(&mut self, record: Record) {
        self.spare.push(record.payload);
    }

    fn has_room(&self) -> bool {
        self.checking.pending() == 0
            || (self.checking.pending() <= self.checking.window()
                && self.ahead_bytes.iter().sum::<usize>() < MOST_AHEAD_BYTES)
    }

    /// Reads a record and hands it to be checked. Nothing is read beyond the header before that has been believed, nor
    /// beyond a trailer.
    fn read_ahead(&mut self) -> Result<(), StreamError> {
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
        let mut stored = self.spare.pop().unwrap_or_default();
        stored.resize(head.stored_bytes as usize, 0);
        self.input.exact(&mut stored, "a record")?;
        self.next_number += 1;
        self.ahead_bytes.push_back(stored.len() + head.plain_bytes as usize);
        let small = stored.len() < WORTH_A_THREAD && !head.is_compressed();
        let record = Unchecked { offset, head, head_bytes, stored };
        if head.kind == TYPE_TRAILER {
            self.ended = Some(Ok(()));
        }
        if small {
            self.checking.push_here(record)
        } else {
            self.checking.push(record)
        }
        Ok(())
    }
}
