// SPDX-License-Identifier: GPL-3.0-or-later
//! Streams of changed blocks: what `era copy` writes and `era apply` reads.
//!
//! Version 1 is the format of the classic tools; version 2 is specified in `docs/stream.md`. A reader hands what it
//! finds to a [`Visitor`], frame by frame, after it has checked it; that the stream is whole is known only
//! when [`read`] returns.

mod audit;
mod error;
mod hash_list;
mod input;
mod output;
mod v1;
mod v2;
mod visitor;
mod zeros;

use std::io::{self, Read};

pub use audit::{AUDIT, Audit, MAX_NAMED};
pub use error::{Fault, StreamError};
pub use hash_list::{HashListHeader, HashListReader, HashListWriter};
pub use output::Output;
pub use v2::{Consistency, Header, Kind, Lone, OPTIONAL, Trailer, read_record_at};
pub use visitor::{Summary, Version, Visitor};

use crate::blockio::{OwnPiece, Piece};
use input::Input;
pub(crate) use zeros::is_zero;

/// Type of the optional record that names the hash list that a stream of kind [`Kind::Difference`] was compared with, by
/// the 32 bytes that the list ends with.
pub const BASE: u32 = 5 | OPTIONAL;

/// Something that turns pieces of a device into a stream.
pub trait Encode {
    /// Appends a piece of an extent; the pieces of an extent come one after another.
    fn piece(&mut self, piece: &Piece) -> io::Result<()>;

    /// The same for a piece that can be kept, and so need not be copied.
    fn own_piece(&mut self, piece: OwnPiece) -> io::Result<()> {
        self.piece(&piece.as_piece())
    }

    /// Writes what is being worked on, and leaves no thread behind. More may follow.
    fn rest(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Writes the end of the stream.
    fn finish(&mut self) -> io::Result<()>;
}

pub use v1::Encoder as EncoderV1;
pub use v2::Encoder as EncoderV2;

/// Reads a stream of either version to its end.
///
/// A [`StreamError`] in the error says that the stream is at fault; other errors are the visitor's.
pub fn read(input: impl Read, visitor: &mut dyn Visitor) -> anyhow::Result<Summary> {
    let mut input = Input::new(input);
    let mut magic = [0; 8];
    match input.fill(&mut magic)? {
        0 => {
            visitor.begin(None)?;
            Ok(Summary::empty())
        }
        8 if magic == v1::MAGIC => v1::read(&mut input, visitor),
        8 if magic == v2::MAGIC => v2::read(&mut input, visitor),
        _ => Err(Fault::NotAStream.at(0).into()),
    }
}
