// SPDX-License-Identifier: GPL-3.0-or-later
//! An independent writer of version 2 streams, made from docs/stream.md alone, that can also write what no honest
//! sender would: every field is the caller's, and checksums are right unless he spoils them.

// Each test target uses a part of this.
#![allow(dead_code)]

pub const MAGIC: [u8; 8] = *b"ERASTR2\x8e";
pub const HEADER: u32 = 1;
pub const FRAME: u32 = 2;
pub const TRAILER: u32 = 3;
pub const OPTIONAL: u32 = 1 << 31;
pub const ZEROS: u64 = 1 << 63;
pub const DEVICE_BYTES: u64 = 1 << 20;

/// One record, its head not made yet.
#[derive(Clone, Debug)]
pub struct Record {
    pub kind: u32,
    pub flags: u32,
    pub number: u64,
    pub payload: Vec<u8>,
    /// Claimed instead of the payload's length.
    pub stored_bytes: Option<u32>,
    /// Claimed instead of the payload's length.
    pub plain_bytes: Option<u32>,
}

impl Record {
    pub fn new(kind: u32, number: u64, payload: Vec<u8>) -> Self {
        Self { kind, flags: 0, number, payload, stored_bytes: None, plain_bytes: None }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head().to_vec();
        bytes.extend(&self.payload);
        bytes
    }

    pub fn head(&self) -> [u8; 32] {
        let len = self.payload.len() as u32;
        let mut head = [0; 32];
        head[0..4].copy_from_slice(&self.kind.to_le_bytes());
        head[4..8].copy_from_slice(&self.flags.to_le_bytes());
        head[8..16].copy_from_slice(&self.number.to_le_bytes());
        head[16..20].copy_from_slice(&self.stored_bytes.unwrap_or(len).to_le_bytes());
        head[20..24].copy_from_slice(&self.plain_bytes.unwrap_or(len).to_le_bytes());
        head[24..28].copy_from_slice(&crc32c::crc32c(&self.payload).to_le_bytes());
        let crc = crc32c::crc32c(&head[..28]);
        head[28..].copy_from_slice(&crc.to_le_bytes());
        head
    }

    fn hash(&self) -> [u8; 32] {
        *blake3::hash(&self.bytes()).as_bytes()
    }
}

/// The header of an increment of a device of `device_bytes`.
pub fn header(device_bytes: u64) -> Vec<u8> {
    let mut header = vec![0; 72];
    header[32..40].copy_from_slice(&device_bytes.to_le_bytes());
    header[40..48].copy_from_slice(&4096u64.to_le_bytes());
    header[52] = 2;
    header
}

/// The payload of a frame with these table entries, `(offset, length word)`, and data.
pub fn frame(entries: &[(u64, u64)], data: &[u8]) -> Vec<u8> {
    let mut payload = (entries.len() as u32).to_le_bytes().to_vec();
    payload.extend([0; 4]);
    for (offset, len) in entries {
        payload.extend(offset.to_le_bytes());
        payload.extend(len.to_le_bytes());
    }
    payload.extend(data);
    payload
}

/// The trailer that belongs to these records.
pub fn trailer(records: &[Record], data_bytes: u64, zero_bytes: u64) -> Vec<u8> {
    let frames = records.iter().filter(|r| r.kind == FRAME).count() as u64;
    let hashes: Vec<u8> = records.iter().flat_map(Record::hash).collect();
    let mut payload = Vec::new();
    for number in [frames, data_bytes, zero_bytes, 0, 0] {
        payload.extend(number.to_le_bytes());
    }
    payload.extend(blake3::hash(&hashes).as_bytes());
    payload
}

/// A stream of these records as they are, with the magic bytes before them.
pub fn stream(records: &[Record]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    records.iter().for_each(|record| bytes.extend(record.bytes()));
    bytes
}

/// A stream of a header, these records numbered from 1, and the trailer that belongs to them.
pub fn finished(mut records: Vec<Record>, data_bytes: u64, zero_bytes: u64) -> Vec<u8> {
    records.insert(0, Record::new(HEADER, 0, header(DEVICE_BYTES)));
    let last = Record::new(TRAILER, records.len() as u64, trailer(&records, data_bytes, zero_bytes));
    records.push(last);
    stream(&records)
}

/// A small sound stream: three frames, data and zeros, one of them compressed.
pub fn sound() -> Vec<Record> {
    let plain = frame(&[(0, 600), (4096, ZEROS | 4096)], &[7; 600]);
    let packed = zstd::bulk::compress(&plain, 1).unwrap();
    let compressed =
        Record { flags: 1, plain_bytes: Some(plain.len() as u32), ..Record::new(FRAME, 2, packed) };
    let mut records = vec![
        Record::new(HEADER, 0, header(DEVICE_BYTES)),
        Record::new(FRAME, 1, frame(&[(1000, 5), (2000, 3)], b"abcdefgh")),
        compressed,
        Record::new(FRAME, 3, frame(&[(DEVICE_BYTES - 4, 4)], b"last")),
    ];
    let trailer = trailer(&records, 612, 4096);
    records.push(Record::new(TRAILER, 4, trailer));
    records
}
