// SPDX-License-Identifier: GPL-3.0-or-later
//! What makes a payload a record: compression, checksums, the record's hash.
//!
//! It depends on nothing but the payload and its number, so records can be sealed side by side, and a record is the same
//! whoever seals it. The head is put right before the payload, where room was left: a record is written with one system
//! call and never copied.

use std::io;
use std::mem;
use std::ops::Range;

use super::record::{FLAG_ZSTD, HEAD_BYTES, Head, MAX_PAYLOAD_BYTES};

/// A payload that is not a record yet.
pub(super) struct Unsealed {
    pub(super) kind: u32,
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
    /// Where in the bytes the payload begins: after enough room for a head. It goes on to their end.
    pub(super) start: usize,
    /// Whether to compress it, where compression is wanted at all and helps.
    pub(super) compressible: bool,
}

/// A record.
pub(super) struct Sealed {
    pub(super) bytes: Vec<u8>,
    /// Where in the bytes the record is.
    pub(super) record: Range<usize>,
    pub(super) hash: blake3::Hash,
}

/// Makes records; each thread has its own.
pub(super) struct Sealer {
    compressor: Option<io::Result<zstd::bulk::Compressor<'static>>>,
    sample: Vec<u8>,
    /// Where a compressed record is made; then it goes on with that, and this becomes what held the payload.
    other: Vec<u8>,
}

/// Pieces that show whether a payload compresses, and the size of each.
const SAMPLES: usize = 8;
const SAMPLE_BYTES: usize = 4096;

impl Sealer {
    pub(super) fn new(level: Option<i32>) -> Self {
        let compressor = level.map(zstd::bulk::Compressor::new);
        Self { compressor, sample: Vec::new(), other: Vec::new() }
    }

    pub(super) fn seal(&mut self, mut unsealed: Unsealed) -> io::Result<Sealed> {
        let plain_bytes = unsealed.bytes.len() - unsealed.start;
        let compressed = if unsealed.compressible { self.compress(&unsealed)? } else { None };
        let end = match compressed {
            Some(end) => {
                mem::swap(&mut unsealed.bytes, &mut self.other);
                unsealed.start = HEAD_BYTES;
                end
            }
            None => unsealed.bytes.len(),
        };
        let payload = &unsealed.bytes[unsealed.start..end];
        let head = Head {
            kind: unsealed.kind,
            flags: if compressed.is_some() { FLAG_ZSTD } else { 0 },
            number: unsealed.number,
            stored_bytes: length(payload.len()),
            plain_bytes: length(plain_bytes),
            payload_crc: crc32c::crc32c(payload),
        };
        let record = unsealed.start - HEAD_BYTES..end;
        unsealed.bytes[record.start..unsealed.start].copy_from_slice(&head.pack());
        let hash = blake3::hash(&unsealed.bytes[record.clone()]);
        Ok(Sealed { bytes: unsealed.bytes, record, hash })
    }

    /// Compresses a payload into `other`, room for a head before it; returns where it ends. `None` where that is not shorter.
    fn compress(&mut self, unsealed: &Unsealed) -> io::Result<Option<usize>> {
        let compressor = match &mut self.compressor {
            None => return Ok(None),
            Some(Ok(compressor)) => compressor,
            Some(Err(e)) => return Err(io::Error::new(e.kind(), e.to_string())),
        };
        let payload = &unsealed.bytes[unsealed.start..];
        if !promises(compressor, payload, &mut self.sample, &mut self.other)? {
            return Ok(None);
        }
        let room = HEAD_BYTES + zstd::zstd_safe::compress_bound(payload.len());
        self.other.resize(room.max(self.other.len()), 0);
        let len = compressor.compress_to_buffer(payload, &mut self.other[HEAD_BYTES..])?;
        Ok((len < payload.len()).then_some(HEAD_BYTES + len))
    }
}

/// Whether a few pieces from all over a payload get at least a little smaller. Data that are compressed or encrypted already would
/// take as long as any to be found so in full.
fn promises(
    compressor: &mut zstd::bulk::Compressor,
    payload: &[u8],
    sample: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) -> io::Result<bool> {
    let step = payload.len() / SAMPLES;
    if step < 4 * SAMPLE_BYTES {
        return Ok(true);
    }
    sample.clear();
    for i in 0..SAMPLES {
        // The end of each stretch: the first begins with the table, which always compresses.
        let end = (i + 1) * step;
        sample.extend_from_slice(&payload[end - SAMPLE_BYTES..end]);
    }
    let room = zstd::zstd_safe::compress_bound(sample.len());
    scratch.resize(room.max(scratch.len()), 0);
    let len = compressor.compress_to_buffer(sample.as_slice(), scratch.as_mut_slice())?;
    Ok(len < sample.len() - sample.len() / 32)
}

/// Payloads are bounded far below 4 GiB.
#[allow(clippy::cast_possible_truncation)]
fn length(payload: usize) -> u32 {
    assert!(payload <= MAX_PAYLOAD_BYTES);
    payload as u32
}
