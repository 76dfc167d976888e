// SPDX-License-Identifier: GPL-3.0-or-later
//! What a reader of streams hands on, and what it knows at the end.

use super::v2::{Header, Trailer};
use crate::units::Extent;

/// Receives the contents of a stream in its order.
pub trait Visitor {
    /// Called once, before anything else; version 1 has no header.
    fn begin(&mut self, header: Option<&Header>) -> anyhow::Result<()>;

    /// Bytes that were checked and lie where the header allows. In version 1 there is nothing to check them by.
    fn data(&mut self, offset: u64, bytes: &[u8]) -> anyhow::Result<()>;

    /// A range that holds zeros.
    fn zeros(&mut self, extent: Extent) -> anyhow::Result<()>;

    /// A record that a reader may pass over.
    fn optional(&mut self, _kind: u32, _payload: &[u8]) -> anyhow::Result<()> {
        Ok(())
    }

    /// A record of version 1 begins; its data follow.
    fn record(&mut self, _extent: Extent) -> anyhow::Result<()> {
        Ok(())
    }
}

/// The version of a stream's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(into = "u8")]
pub enum Version {
    /// Nothing at all: what a version 1 stream without changes looks like, and also what a failed sender leaves.
    Empty,
    /// The classic tools'.
    V1,
    /// `docs/stream.md`.
    V2,
}

impl From<Version> for u8 {
    fn from(version: Version) -> u8 {
        match version {
            Version::Empty => 0,
            Version::V1 => 1,
            Version::V2 => 2,
        }
    }
}

/// What a stream held, known when it has been read to its end.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Version of the format.
    pub version: Version,
    /// Records of version 1 that hold data; frames of version 2.
    pub records: u64,
    /// Bytes of data carried, before compression.
    pub data_bytes: u64,
    /// Bytes of zeros named but not carried.
    pub zero_bytes: u64,
    /// Bytes of the stream itself.
    pub stream_bytes: u64,
    /// Whether the stream says that it is complete: a trailer, or the end marker of version 1.
    pub ended: bool,
    /// The header and trailer of version 2.
    pub frame: Option<(Header, Trailer)>,
}

impl Summary {
    pub(super) fn empty() -> Self {
        Self {
            version: Version::Empty,
            records: 0,
            data_bytes: 0,
            zero_bytes: 0,
            stream_bytes: 0,
            ended: false,
            frame: None,
        }
    }
}
