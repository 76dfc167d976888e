// SPDX-License-Identifier: GPL-3.0-or-later
//! What makes a record credible: its checksum, its hash, and that it decompresses to what it announces.
//!
//! It depends on nothing but the record, so that records can be checked side by side.

use std::mem;

use super::record::{FLAG_ZSTD, HEAD_BYTES, Head, MAX_PAYLOAD_BYTES, OPTIONAL, TYPE_FRAME};
use crate::stream::error::Fault;

/// A record as it was read. Its head has been checked.
pub(super) struct Unchecked {
    /// Where it begins in the stream.
    pub(super) offset: u64,
    pub(super) head: Head,
    pub(super) head_bytes: [u8; HEAD_BYTES],
    pub(super) stored: Vec<u8>,
}

/// What became of one.
pub(super) struct Checked {
    pub(super) offset: u64,
    pub(super) kind: u32,
    /// Its hash and its payload.
    pub(super) result: Result<(blake3::Hash, Vec<u8>), Fault>,
}

/// Checks records; each thread has its own.
#[derive(Default)]
pub(super) struct Checker {
    /// Memory to decompress to.
    other: Vec<u8>,
}

impl Checker {
    pub(super) fn check(&mut self, record: Unchecked) -> Checked {
        let Unchecked { offset, head, head_bytes, stored } = record;
        Checked { offset, kind: head.kind, result: self.payload(&head, &head_bytes, stored) }
    }

    fn payload(
        &mut self,
        head: &Head,
        head_bytes: &[u8; HEAD_BYTES],
        mut payload: Vec<u8>,
    ) -> Result<(blake3::Hash, Vec<u8>), Fault> {
        check_payload(head, &payload)?;
        let hash = blake3::Hasher::new().update(head_bytes).update(&payload).finalize();
        if head.kind == TYPE_FRAME && head.is_compressed() {
            decompress(&payload, &mut self.other, head.plain_bytes)?;
            mem::swap(&mut payload, &mut self.other);
        }
        Ok((hash, payload))
    }
}

pub(super) fn check_payload(head: &Head, stored: &[u8]) -> Result<(), Fault> {
    let computed = crc32c::crc32c(stored);
    match computed == head.payload_crc {
        true => Ok(()),
        false => Err(Fault::Checksum { what: "a record", stored: head.payload_crc, computed }),
    }
}

/// Of a record that may be skipped nothing but number, length and checksums is checked: the rest is for those who know it.
pub(super) fn check_flags(head: &Head) -> Result<(), Fault> {
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
pub(super) fn decompress(stored: &[u8], plain: &mut Vec<u8>, plain_bytes: u32) -> Result<(), Fault> {
    debug_assert!(plain_bytes as usize <= MAX_PAYLOAD_BYTES);
    plain.resize(plain_bytes as usize, 0);
    match zstd::bulk::decompress_to_buffer(stored, plain.as_mut_slice()) {
        Ok(len) if len == plain.len() => Ok(()),
        Ok(len) => Err(Fault::Compression(format!("{len} bytes where {plain_bytes} were announced"))),
        Err(e) => Err(Fault::Compression(e.to_string())),
    }
}
