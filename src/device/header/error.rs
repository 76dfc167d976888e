// SPDX-License-Identifier: GPL-3.0-or-later
//! Why a header cannot be used, or what is wrong with one of its copies.

use std::io;

use thiserror::Error;

use crate::blockio::ReadError;
use crate::device::sizing::{BadBlockCount, BadBlockSize};
use crate::units::Extent;

/// A header that cannot be used or written.
#[derive(Debug, Error)]
pub enum HeaderError {
    /// Nothing here looks like a header.
    #[error("holds no header of era")]
    NotThere,
    /// There was a header, but no copy can be relied on.
    #[error("both copies of the header are damaged; copy 0: {}; copy 1: {}", .0[0], .0[1])]
    Damaged([SlotProblem; 2]),
    /// A later version of the program wrote it.
    #[error("the header was written by a newer version of era: {0}")]
    NewerFormat(Newer),
    /// The header is undamaged but not fit for use.
    #[error("the header cannot be used: {0}")]
    Invalid(#[from] Invalid),
    /// Somebody else wrote the header after it was read; nothing was written.
    #[error(
        "the header was changed by somebody else: it had sequence number {ours} when it was read, now {}",
        .found.map_or("it is gone".into(), |n| format!("it has {n}"))
    )]
    Changed {
        /// Sequence number of the header to be written; 0 for a new one.
        ours: u64,
        /// That of the header that is there.
        found: Option<u64>,
    },
    /// The first of both copies could not be written: the old header is still in force.
    #[error("copy {slot} of the header cannot be written: {cause}")]
    NotWritten {
        /// Which copy.
        slot: usize,
        /// What the system said.
        cause: io::Error,
    },
}

/// Words of a header that was not understood, fit for a terminal.
fn printable(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// What only a newer version of the program understands.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Newer {
    /// Another format.
    #[error("format version {0}")]
    Version(u32),
    /// Features that must be understood to use the device.
    #[error("it requires {}", printable(&.0.join(", ")))]
    Features(Vec<String>),
}

/// A copy that is not as it should be, though the header as a whole can be used. Writing the header mends it.
#[derive(Debug, Error)]
#[error("copy {slot} of the header: {problem}")]
pub struct Note {
    /// Which copy, 0 or 1.
    pub slot: usize,
    /// What is wrong with it.
    pub problem: SlotProblem,
}

/// What is wrong with one copy.
#[derive(Debug, Error)]
pub enum SlotProblem {
    /// The device could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] ReadError),
    /// The device ends before the copy does.
    #[error("lies past the end of the device, which has {0} bytes")]
    PastTheEnd(u64),
    /// Something else is there.
    #[error("does not begin like a header")]
    NoMagic,
    /// A bit has changed, or only a part was written.
    #[error("its checksum is wrong")]
    Checksum,
    /// The copy belongs elsewhere.
    #[error("says that it is copy {0}")]
    Misplaced(u32),
    /// The payload does not fit in.
    #[error("says that it has {0} bytes of payload, more than there is room for")]
    Length(u32),
    /// The other copy is newer: writing the header was interrupted.
    #[error("has sequence number {found}, the other copy has {newest}")]
    Outdated {
        /// That of this copy.
        found: u64,
        /// That of the other one.
        newest: u64,
    },
    /// Both copies say that they are the newest one, and differ.
    #[error("has sequence number {0} and contradicts the other copy, which is no older or newer")]
    Contradiction(u64),
    /// The header is in force, but this copy of it could not be written.
    #[error("cannot be written: {0}")]
    NotWritten(io::Error),
}

/// What makes an undamaged header unfit for use.
#[derive(Debug, Error)]
pub enum Invalid {
    /// Not JSON, a field is missing or of the wrong type.
    #[error("its payload is malformed: {}", printable(&.0.to_string()))]
    Json(#[from] serde_json::Error),
    /// A field holds what it must not.
    #[error("{field} is {found:?}, must be {expected}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What it holds.
        found: String,
        /// What it would have to hold.
        expected: &'static str,
    },
    /// The block size is not one of dm-era's.
    #[error(transparent)]
    BlockSize(#[from] BadBlockSize),
    /// The size of the data device and the block size do not go together.
    #[error(transparent)]
    BlockCount(#[from] BadBlockCount),
    /// A region is where it cannot be.
    #[error("the {what} region of {} bytes at {} {problem}", .extent.len, .extent.offset)]
    Region {
        /// Which region.
        what: &'static str,
        /// Where it is.
        extent: Extent,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The payload has outgrown its place.
    #[error("its payload has {len} bytes; there is room for {room}")]
    TooLong {
        /// How many bytes there are.
        len: usize,
        /// How many there may be.
        room: usize,
    },
}
