// SPDX-License-Identifier: GPL-3.0-or-later
//! Standard input and output without the standard library's buffers: that of the output would search a binary stream for line
//! ends and hold back what comes after the last one. Where they are pipes, they are made large.

use std::io::{self, Read, Stdin, Stdout, Write};

use rustix::io::{read, retry_on_intr, write};

use super::pipe::enlarge;

/// Standard output as it is: each write is a system call on the descriptor itself, not on a copy of it, so that it
/// stays one with what the process has there.
#[derive(Debug)]
pub struct RawStdout(Stdout);

/// Standard output as it is.
pub fn raw_stdout() -> RawStdout {
    let stdout = io::stdout();
    enlarge(&stdout);
    RawStdout(stdout)
}

impl Write for RawStdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| write(&self.0, bytes))?)
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
