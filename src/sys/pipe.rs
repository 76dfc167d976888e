// SPDX-License-Identifier: GPL-3.0-or-later
//! Pipes. Larger ones: with the usual 64 KiB, whoever writes and whoever reads wait for each other all the time. And memory that is
//! put into a pipe without a copy.

#![allow(unsafe_code)]

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{IoSliceRaw, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, vmsplice};

use super::AlignedBuf;

/// What any user may have.
const PIPE_BYTES: usize = 1 << 20;

/// Makes a pipe larger. What is not a pipe, and a pipe whose user has used up what the system allows, stays as it is.
pub(super) fn enlarge(fd: impl AsFd) {
    let _ = fcntl_setpipe_size(fd, PIPE_BYTES);
}

/// Whether it is a pipe.
pub(super) fn is_pipe(fd: impl AsFd) -> bool {
    fcntl_getpipe_size(fd).is_ok()
}

/// Puts the pages of a part of a buffer into a pipe, as far as there is room, and says how many bytes; waits until there is some room.
///
/// Whoever reads from the pipe gets at the memory itself, and may pass it on as it is: it is retired before. `None` where that cannot
/// be; then nothing is in the pipe.
pub(super) fn give(pipe: impl AsFd, buf: &AlignedBuf, part: Range<usize>) -> io::Result<Option<usize>> {
    if !buf.retire() {
        return Ok(None);
    }
    // On the end that is read the same call would fill the memory.
    if fcntl_getfl(&pipe)? & OFlags::RWMODE == OFlags::RDONLY {
        return Err(Errno::BADF.into());
    }
    let slices = [IoSliceRaw::from_slice(&buf[part])];
    // SAFETY: the memory is never written to again: not by us, who have retired it, and not by the kernel, as this is not the end that is
    // read, and no pages are gifted.
    let given = retry_on_intr(|| unsafe { vmsplice(&pipe, &slices, SpliceFlags::empty()) })?;
    Ok(Some(given))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::sys::AlignedBufs;

    #[test]
    fn a_pipe_gets_larger_and_a_file_stays_a_file() {
        let (reader, writer) = std::io::pipe().unwrap();
        let before = fcntl_getpipe_size(&reader).unwrap();
        enlarge(&writer);
        // Unless this user has so many pipes that there is no room for larger ones.
        let after = fcntl_getpipe_size(&reader).unwrap();
        assert!(after == PIPE_BYTES || after == before, "{after}");
        enlarge(tempfile::tempfile().unwrap());
    }

    #[test]
    fn what_is_given_arrives_and_stays_as_it_was() {
        let (mut reader, writer) = io::pipe().unwrap();
        enlarge(&writer);
        let mut buf = AlignedBufs::new(1 << 16).make();
        buf.fill(7);
        assert_eq!(give(&writer, &buf, 5..9).unwrap(), Some(4));
        assert_eq!(give(&writer, &AlignedBuf::new(512, 512), 0..512).unwrap(), None);
        // Its pages are those of the pipe now.
        drop(buf);
        let mut other = AlignedBufs::new(1 << 16).make();
        other.fill(8);
        drop(writer);
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [7; 4]);
    }

    #[test]
    fn nothing_can_be_given_to_the_wrong_end() {
        let (reader, _writer) = io::pipe().unwrap();
        let buf = AlignedBufs::new(1 << 16).make();
        let refused = give(&reader, &buf, 0..4096).unwrap_err();
        assert_eq!(Errno::from_io_error(&refused), Some(Errno::BADF));
    }
}
