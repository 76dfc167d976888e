// SPDX-License-Identifier: GPL-3.0-or-later
//! Where a stream is written to.

use std::io::{self, BufWriter, Write};
use std::ops::Range;

use crate::blockio::Filled;
use crate::sys::RawStdout;

/// What is longer than this is not worth a copy; what is shorter is not worth a system call of its own.
pub(super) const MIN_GIVEN_BYTES: usize = 64 << 10;

/// Something that a stream is written to.
pub trait Output: Write {
    /// Writes a part of what was read. Where that saves the copy, its memory is not used for anything else again.
    fn give(&mut self, bytes: &Filled, part: Range<usize>) -> io::Result<()> {
        self.write_all(&bytes[part])
    }
}

impl Output for Vec<u8> {}
impl<W: Write> Output for BufWriter<W> {}

impl<W: Output + ?Sized> Output for &mut W {
    fn give(&mut self, bytes: &Filled, part: Range<usize>) -> io::Result<()> {
        (**self).give(bytes, part)
    }
}

impl Output for RawStdout {
    fn give(&mut self, bytes: &Filled, mut part: Range<usize>) -> io::Result<()> {
        while part.len() >= MIN_GIVEN_BYTES
            && let Some((buf, place)) = bytes.place(part.clone())
            && let Some(given) = RawStdout::give(self, buf, place)?
        {
            part.start += given;
        }
        self.write_all(&bytes[part])
    }
}
