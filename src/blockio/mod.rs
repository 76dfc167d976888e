// SPDX-License-Identifier: GPL-3.0-or-later
//! Block I/O behind one small interface.
//!
//! Everything that reads or writes a device goes through [`ReadAt`] and [`WriteAt`], so that tests can put a
//! failing device in the place of a real one. What is read in bulk goes through [`read_extents`], which is handed all that
//! will be read, keeps many requests under way (see `engine`) and delivers in order.

mod buffers;
mod destination;
mod early;
mod engine;
#[cfg(test)]
pub(crate) mod faulty;
mod read;
mod source;
mod write;

use std::io;
use std::os::fd::BorrowedFd;

pub use buffers::Filled;
pub use destination::Destination;
pub use engine::{Carrier, MAX_DEPTH, Tuning};
pub use read::{OwnPiece, Piece, ReadError, read_exact, read_extents, read_pieces, read_to_keep};
pub use source::Source;
pub use write::write_full;

use crate::units::Extent;

/// A device or file that is read at given positions.
pub trait ReadAt {
    /// Size in bytes.
    fn size(&self) -> u64;

    /// Positions, lengths and memory addresses of reads must be multiples of this power of two at present.
    ///
    /// It can become smaller, once, when direct I/O turns out not to be possible.
    fn align(&self) -> usize;

    /// Reads some bytes, as `pread` does: fewer than asked for, or none at the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// What `read_at` reads from, where that is all it does: then many requests can be under way at a time.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// A device or file that is written at given positions.
pub trait WriteAt {
    /// Size in bytes when it was opened.
    fn size(&self) -> u64;

    /// Whether it can grow, as a file can and a block device cannot.
    fn can_grow(&self) -> bool;

    /// Grows it; the new part reads as zeros.
    fn grow(&self, size: u64) -> io::Result<()>;

    /// Writes some of the bytes, as `pwrite` does.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes a range read as zeros from now on, giving its space back where that is possible.
    fn zero(&self, extent: Extent) -> io::Result<()>;

    /// Returns when everything written is on stable storage.
    fn sync(&self) -> io::Result<()>;
}
