// SPDX-License-Identifier: GPL-3.0-or-later
//! Standard input and output without the standard library's buffers: that of the output would search a binary stream for line
//! ends and hold back what comes after the last one. Where they are pipes, they are made large.

use std::io::{self, Read, Stdin, Stdout, Write};
use std::ops::Range;

use rustix::io::{Errno, read, retry_on_intr, write};

use super::AlignedBuf;
use super::pipe::{enlarge, give, is_pipe};

/// Standard output as it is: each write is a system call on the descriptor itself, not on a copy of it, so that it
/// stays one with what the process has there.
#[derive(Debug)]
pub struct RawStdout {
    stdout: Stdout,
    /// Whether memory can be put there without a copy.
    takes_memory: bool,
}

/// Standard output as it is.
pub fn raw_stdout() -> RawStdout {
    let stdout = io::stdout();
    enlarge(&stdout);
    let takes_memory = is_pipe(&stdout);
    RawStdout { stdout, takes_memory }
}

impl RawStdout {
    /// Writes some of a part of a buffer without a copy, and retires that memory. `None` where it has to be copied.
    pub fn give(&mut self, buf: &AlignedBuf, part: Range<usize>) -> io::Result<Option<usize>> {
        if !self.takes_memory {
            return Ok(None);
        }
        match give(&self.stdout, buf, part) {
            // A kernel or a sandbox that does not have this.
            Err(e) if matches!(Errno::from_io_error(&e), Some(Errno::INVAL | Errno::NOSYS | Errno::PERM)) => {
                self.takes_memory = false;
                Ok(None)
            }
            result => result,
        }
    }
}

impl Write for RawStdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| write(&self.stdout, bytes))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard input as it is; nothing else may read from it.
#[derive(Debug)]
pub struct RawStdin(Stdin);

/// Standard input as it is.
pub fn raw_stdin() -> RawStdin {
    let stdin = io::stdin();
    enlarge(&stdin);
    RawStdin(stdin)
}

impl Read for RawStdin {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| read(&self.0, &mut *bytes))?)
    }
}
