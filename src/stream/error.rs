// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be wrong with a stream: always a place in it, and what is wrong there.

use std::io;

use thiserror::Error;

/// A stream that cannot be relied on.
#[derive(Debug, Error)]
#[error("stream, byte {offset}: {fault}")]
pub struct StreamError {
    /// Where the record at fault begins, or where bytes are missing or too many.
    pub offset: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a stream.
#[derive(Debug, Error)]
pub enum Fault {
    /// It begins with neither version's magic bytes.
    #[error("this is not an era stream")]
    NotAStream,
    /// It could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It ends in the middle.
    #[error("the stream ends in the middle of {0}; it is incomplete")]
    Truncated(&'static str),
    /// It ends where another record should be.
    #[error("the stream ends without its trailer; it is incomplete")]
    NoTrailer,
    /// It goes on after its trailer.
    #[error("there are bytes after the end of the stream")]
    TrailingBytes,
    /// A record of version 1 does not begin as one.
    #[error("a record must begin here, but does not")]
    NotARecord,
    /// A record of version 1 covers bytes that cannot be.
    #[error("record of {len} bytes at offset {offset}: negative or beyond 2^63")]
    BadRange {
        /// Its offset.
        offset: i64,
        /// Its length.
        len: i64,
    },
    /// A checksum does not match.
    #[error("checksum of {what} is {stored:#010x}, computed {computed:#010x}: the stream was damaged")]
    Checksum {
        /// What the checksum covers.
        what: &'static str,
        /// What the stream says.
        stored: u32,
        /// What its bytes make.
        computed: u32,
    },
    /// A record is missing, repeated or in the wrong place.
    #[error(
        "record {found} stands where record {expected} must be: records are missing, repeated or out of order"
    )]
    Sequence {
        /// The number that is there.
        found: u64,
        /// The number that must be.
        expected: u64,
    },
    /// A record of a type that this version does not know and may not skip.
    #[error("record of unknown type {0}: a newer version of era is needed to read this stream")]
    UnknownRecord(u32),
    /// A number is outside what the format allows.
    #[error("{what} is {found}, must be {expected}")]
    Value {
        /// Which number.
        what: &'static str,
        /// What it is.
        found: u64,
        /// What it would have to be.
        expected: String,
    },
    /// Compressed data do not decompress to what was announced.
    #[error("compressed data are damaged: {0}")]
    Compression(String),
    /// The trailer's hash is not that of the records before it.
    #[error("the hash over all records does not match: the stream was damaged or put together from several")]
    Hash,
}

impl StreamError {
    /// Whether what was read is not what was written; else it could not be read, or needs a newer program.
    pub fn is_damage(&self) -> bool {
        !matches!(self.fault, Fault::Unreadable(_) | Fault::UnknownRecord(_))
    }
}

impl Fault {
    pub(super) fn at(self, offset: u64) -> StreamError {
        StreamError { offset, fault: self }
    }

    pub(super) fn value(what: &'static str, found: impl Into<u64>, expected: impl Into<String>) -> Self {
        Fault::Value { what, found: found.into(), expected: expected.into() }
    }
}
