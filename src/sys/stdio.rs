// SPDX-License-Identifier: GPL-3.0-or-later
//! Standard output without the standard library's line buffer, which would search a binary stream for line ends and
//! hold back what comes after the last one.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// Standard output as it is: each write is a system call.
pub fn raw_stdout() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}
