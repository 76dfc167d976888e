// SPDX-License-Identifier: GPL-3.0-or-later
//! Standard output without the standard library's line buffer, which would search a binary stream for line ends and
//! hold back what comes after the last one.

use std::io::{self, Stdout, Write};

use rustix::io::{retry_on_intr, write};

/// Standard output as it is: each write is a system call on the descriptor itself, not on a copy of it, so that it
/// stays one with what the process has there.
#[derive(Debug)]
pub struct RawStdout(Stdout);

/// Standard output as it is.
pub fn raw_stdout() -> RawStdout {
    RawStdout(io::stdout())
}

impl Write for RawStdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| write(&self.0, bytes))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
