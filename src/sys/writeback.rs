// SPDX-License-Identifier: GPL-3.0-or-later
//! Having the disk begin with what was written, long before a sync waits for all of it.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Begins to write a range of a file to its disk, and waits for none of it.
///
/// Only a hint: what fails on the disk later is told by the next sync, as ever.
pub fn begin_writeback(fd: impl AsFd, offset: u64, len: u64) -> io::Result<()> {
    let (Ok(offset), Ok(len)) = (offset.try_into(), len.try_into()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // SAFETY: takes numbers only; the descriptor is open.
    let result =
        unsafe { libc::sync_file_range(fd.as_fd().as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
