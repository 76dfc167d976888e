// SPDX-License-Identifier: GPL-3.0-or-later
//! What makes a payload a record: compression, checksums, the record's hash.
//!
//! It depends on nothing but the payload and its number, so records can be sealed side by side, and a record is the same
//! whoever seals it. The head is put right before the payload, where room was left, so that nothing has to be moved.

use std::io;
use std::mem;

use super::payload::Payload;
use super::record::{FLAG_ZSTD, HEAD_BYTES, Head, MAX_PAYLOAD_BYTES};

/// A payload that is not a record yet.
pub(super) struct Unsealed {
    pub(super) kind: u32,
    pub(super) number: u64,
    /// After enough room for a head.
    pub(super) payload: Payload,
    /// Whether to compress it, where compression is wanted at all and helps; then all of it has been gathered.
    pub(super) compressible: bool,
}

/// A record.
pub(super) struct Sealed {
    /// With its head.
    pub(super) record: Payload,
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

    pub(super) fn seal(&mut self, unsealed: Unsealed) -> io::Result<Sealed> {
        let Unsealed { kind, number, payload: mut record, compressible } = unsealed;
        let plain_bytes = record.len();
        let compressed = if compressible { self.compress(&record)? } else { None };
        if let Some(end) = compressed {
            mem::swap(&mut record.gathered, &mut self.other);
            record.gathered.truncate(end);
            record.start = HEAD_BYTES;
        }
        let head = Head {
            kind,
            flags: if compressed.is_some() { FLAG_ZSTD } else { 0 },
            number,
            stored_bytes: length(record.len()),
            plain_bytes: length(plain_bytes),
            payload_crc: record.slices().fold(0, |crc, slice| crc32c::crc32c_append(crc, slice.bytes())),
        };
        let end = record.start;
        record.start -= HEAD_BYTES;
        record.gathered[record.start..end].copy_from_slice(&head.pack());
        let mut hasher = blake3::Hasher::new();
        record.slices().for_each(|slice| {
            hasher.update(slice.bytes());
        });
        let hash = hasher.finalize();
        Ok(Sealed { record, hash })
    }

    /// Compresses a payload into `other`, room for a head before it; returns where it ends. `None` where that is not shorter.
    fn compress(&mut self, payload: &Payload) -> io::Result<Option<usize>> {
        let compressor = match &mut self.compressor {
            None => return Ok(None),
            Some(Ok(compressor)) => compressor,
            Some(Err(e)) => return Err(io::Error::new(e.kind(), e.to_string())),
        };
        // What is kept would be left out.
        assert!(payload.is_gathered(), "only what is in one place can be compressed");
        let payload = &payload.gathered[payload.start..];
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
