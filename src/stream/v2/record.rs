// SPDX-License-Identifier: GPL-3.0-or-later
//! The envelope of every record, and the running hash over all of them.

use crate::stream::error::Fault;

/// The first bytes of a stream. The last is not ASCII, so that a transfer in text mode shows at once.
pub(in crate::stream) const STREAM_MAGIC: [u8; 8] = *b"ERASTR2\x8e";

pub(super) const HEAD_BYTES: usize = 32;

/// The most data that one frame carries, before compression.
pub(super) const MAX_DATA_BYTES: usize = 4 << 20;

/// The most extents that one frame describes.
pub(super) const MAX_EXTENTS: usize = 4096;

/// The most payload of any record, compressed or not: a full frame with a full table.
pub(super) const MAX_PAYLOAD_BYTES: usize = 8 + 16 * MAX_EXTENTS + MAX_DATA_BYTES;

/// The bit of a type that lets a reader skip a record that it does not know.
pub const OPTIONAL: u32 = 1 << 31;

/// The payload is one zstd frame.
pub(super) const FLAG_ZSTD: u32 = 1;

pub(super) const TYPE_HEADER: u32 = 1;
pub(super) const TYPE_FRAME: u32 = 2;
pub(super) const TYPE_TRAILER: u32 = 3;

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: u32,
    pub(super) flags: u32,
    pub(super) number: u64,
    /// Bytes of payload in the stream.
    pub(super) stored_bytes: u32,
    /// Bytes of payload after decompression.
    pub(super) plain_bytes: u32,
    pub(super) payload_crc: u32,
}

impl Head {
    pub(super) fn pack(&self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        head[0..4].copy_from_slice(&self.kind.to_le_bytes());
        head[4..8].copy_from_slice(&self.flags.to_le_bytes());
        head[8..16].copy_from_slice(&self.number.to_le_bytes());
        head[16..20].copy_from_slice(&self.stored_bytes.to_le_bytes());
        head[20..24].copy_from_slice(&self.plain_bytes.to_le_bytes());
        head[24..28].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32c::crc32c(&head[..28]);
        head[28..32].copy_from_slice(&crc.to_le_bytes());
        head
    }

    /// Checks the checksum first, then bounds both lengths.
    pub(super) fn unpack(head: &[u8; HEAD_BYTES]) -> Result<Self, Fault> {
        let stored = u32_at(head, 28);
        let computed = crc32c::crc32c(&head[..28]);
        if stored != computed {
            return Err(Fault::Checksum { what: "a record's head", stored, computed });
        }
        let unpacked = Self {
            kind: u32_at(head, 0),
            flags: u32_at(head, 4),
            number: u64_at(head, 8),
            stored_bytes: u32_at(head, 16),
            plain_bytes: u32_at(head, 20),
            payload_crc: u32_at(head, 24),
        };
        for (what, bytes) in [
            ("length of a record", unpacked.stored_bytes),
            ("decompressed length of a record", unpacked.plain_bytes),
        ] {
            if bytes as usize > MAX_PAYLOAD_BYTES {
                return Err(Fault::value(what, bytes, format!("at most {MAX_PAYLOAD_BYTES}")));
            }
        }
        Ok(unpacked)
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.flags & FLAG_ZSTD != 0
    }
}

/// A hash over the hashes of all records so far, each the hash of head and stored payload.
#[derive(Default)]
pub(super) struct Chain(blake3::Hasher);

impl Chain {
    pub(super) fn add(&mut self, record: &blake3::Hash) {
        self.0.update(record.as_bytes());
    }

    pub(super) fn value(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

pub(super) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}
