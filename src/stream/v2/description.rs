// SPDX-License-Identifier: GPL-3.0-or-later
//! What a stream says about itself: the header before the frames, the trailer after them.

use jiff::Timestamp;
use uuid::Uuid;

use super::record::{array_at, u32_at, u64_at};
use crate::stream::error::Fault;
use crate::units::{Era, SECTOR_BYTES};

pub(super) const HEADER_BYTES: usize = 72;
pub(super) const TRAILER_BYTES: usize = 72;

/// What a stream is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Every byte of the device is in it, as data or as zeros.
    Full,
    /// What changed since the era it starts from.
    Increment,
    /// What leads from a point in time back to the one before it.
    Undo,
    /// What is not as in a list of hashes that the receiver gave.
    Difference,
}

/// At what moment, or moments, the data were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// Whoever made the stream did not know: only its user does.
    Unknown,
    /// The device was written meanwhile: each block is right or will be sent again.
    None,
    /// One moment, the filesystem being frozen.
    Freeze,
    /// One moment, from a snapshot.
    Snapshot,
}

/// The first record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The tracked device, or nil where it has no identity.
    pub device: Uuid,
    /// The life of its metadata, or nil. Eras of different generations cannot be compared.
    pub generation: Uuid,
    /// Size of the device in bytes.
    pub device_bytes: u64,
    /// Size of its blocks in bytes.
    pub block_bytes: u64,
    /// The first era whose changes are in it; 0 where that is not known or everything is.
    pub since: Era,
    /// What it is relative to.
    pub kind: Kind,
    /// At what moment it was read.
    pub consistency: Consistency,
    /// When it was begun.
    pub time: Timestamp,
}

impl Header {
    pub(super) fn pack(&self) -> [u8; HEADER_BYTES] {
        let kind = match self.kind {
            Kind::Full => 1,
            Kind::Increment => 2,
            Kind::Undo => 3,
            Kind::Difference => 4,
        };
        let consistency = match self.consistency {
            Consistency::Unknown => 0,
            Consistency::None => 1,
            Consistency::Freeze => 2,
            Consistency::Snapshot => 3,
        };
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..16].copy_from_slice(self.device.as_bytes());
        bytes[16..32].copy_from_slice(self.generation.as_bytes());
        bytes[32..40].copy_from_slice(&self.device_bytes.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.block_bytes.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.since.0.to_le_bytes());
        bytes[52] = kind;
        bytes[53] = consistency;
        bytes[56..60].copy_from_slice(&self.time.subsec_nanosecond().to_le_bytes());
        bytes[64..72].copy_from_slice(&self.time.as_second().to_le_bytes());
        bytes
    }

    pub(super) fn unpack(bytes: &[u8]) -> Result<Self, Fault> {
        check_len("length of the header", bytes, HEADER_BYTES)?;
        let (device_bytes, block_bytes) = (u64_at(bytes, 32), u64_at(bytes, 40));
        if device_bytes > i64::MAX.cast_unsigned() {
            return Err(Fault::value("size of the device", device_bytes, "below 2^63"));
        }
        if block_bytes == 0 || block_bytes % SECTOR_BYTES != 0 {
            return Err(Fault::value("block size", block_bytes, "a multiple of 512 above 0"));
        }
        let kind = match bytes[52] {
            1 => Kind::Full,
            2 => Kind::Increment,
            3 => Kind::Undo,
            4 => Kind::Difference,
            other => return Err(Fault::value("kind of stream", other, "from 1 to 4")),
        };
        let consistency = match bytes[53] {
            0 => Consistency::Unknown,
            1 => Consistency::None,
            2 => Consistency::Freeze,
            3 => Consistency::Snapshot,
            other => return Err(Fault::value("consistency", other, "from 0 to 3")),
        };
        for (at, len) in [(54, 2), (60, 4)] {
            if bytes[at..at + len].iter().any(|&b| b != 0) {
                return Err(Fault::value("reserved bytes of the header", bytes[at], "0"));
            }
        }
        let seconds = i64::from_le_bytes(array_at(bytes, 64));
        let nanoseconds = i32::from_le_bytes(array_at(bytes, 56));
        if !(0..1_000_000_000).contains(&nanoseconds) {
            let found = u64::from(nanoseconds.cast_unsigned());
            return Err(Fault::value("nanoseconds of the time", found, "below 1000000000"));
        }
        let time = Timestamp::new(seconds, nanoseconds).map_err(|_| {
            Fault::value("time in seconds", seconds.cast_unsigned(), "a time of the years -9999 to 9999")
        })?;
        Ok(Self {
            device: Uuid::from_bytes(array_at(bytes, 0)),
            generation: Uuid::from_bytes(array_at(bytes, 16)),
            device_bytes,
            block_bytes,
            since: Era(u32_at(bytes, 48)),
            kind,
            consistency,
            time,
        })
    }
}

/// The last record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Number of frames.
    pub frames: u64,
    /// Bytes of data in all frames, before compression.
    pub data_bytes: u64,
    /// Bytes of zeros in all frames.
    pub zero_bytes: u64,
    /// The era to ask for next time; 0 where that is not known.
    pub next: Era,
    /// How many times the changes were read, the last of them at the cut; 0 where that is not known.
    pub passes: u32,
    /// How long the filesystem was held still, in nanoseconds; 0 where it was not.
    pub freeze_nanoseconds: u64,
    /// BLAKE3 over the BLAKE3 hashes of all records before this one.
    pub hash: [u8; 32],
}

impl Trailer {
    pub(super) fn pack(&self) -> [u8; TRAILER_BYTES] {
        let mut bytes = [0; TRAILER_BYTES];
        bytes[0..8].copy_from_slice(&self.frames.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.data_bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.zero_bytes.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.next.0.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.passes.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.freeze_nanoseconds.to_le_bytes());
        bytes[40..72].copy_from_slice(&self.hash);
        bytes
    }

    pub(super) fn unpack(bytes: &[u8]) -> Result<Self, Fault> {
        check_len("length of the trailer", bytes, TRAILER_BYTES)?;
        Ok(Self {
            frames: u64_at(bytes, 0),
            data_bytes: u64_at(bytes, 8),
            zero_bytes: u64_at(bytes, 16),
            next: Era(u32_at(bytes, 24)),
            passes: u32_at(bytes, 28),
            freeze_nanoseconds: u64_at(bytes, 32),
            hash: array_at(bytes, 40),
        })
    }
}

fn check_len(what: &'static str, bytes: &[u8], expected: usize) -> Result<(), Fault> {
    if bytes.len() == expected {
        Ok(())
    } else {
        Err(Fault::value(what, bytes.len() as u64, format!("{expected}")))
    }
}
