// SPDX-License-Identifier: GPL-3.0-or-later
//! Larger pipes: with the usual 64 KiB, whoever writes and whoever reads wait for each other all the time.

use std::os::fd::AsFd;

use rustix::pipe::fcntl_setpipe_size;

/// What any user may have.
const PIPE_BYTES: usize = 1 << 20;

/// Makes a pipe larger. What is not a pipe, and a pipe whose user has used up what the system allows, stays as it is.
pub(super) fn enlarge(fd: impl AsFd) {
    let _ = fcntl_setpipe_size(fd, PIPE_BYTES);
}

#[cfg(test)]
mod tests {
    use rustix::pipe::fcntl_getpipe_size;

    use super::*;

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
}
