// SPDX-License-Identifier: GPL-3.0-or-later
//! Memory for large transfers, in huge pages where the kernel has them.
//!
//! A direct transfer from or to ordinary memory is a list of pages of 4 KiB; each has to be looked up, and each may become an
//! element of the request that the disk gets. In a huge page the same transfer is one element.

#![allow(unsafe_code)]

use bytes::BytesMut;
use rustix::mm::{Advice, madvise};

/// Of a huge page, on the processors that have pages of 4 KiB.
const HUGE_BYTES: usize = 2 << 20;

/// Zero bytes that begin where a huge page may, and are as many as fill huge pages: at least so many.
///
/// Memory is used only as it is touched; where there are no huge pages, it is memory like any other.
pub(super) fn huge(len: usize) -> BytesMut {
    let len = len.next_multiple_of(HUGE_BYTES);
    let mut memory = BytesMut::zeroed(len + HUGE_BYTES);
    let before = memory.as_ptr().align_offset(HUGE_BYTES).min(HUGE_BYTES);
    let mut memory = memory.split_off(before);
    memory.truncate(len);
    // SAFETY: advice for a range that is ours; it changes how memory is provided, not what is in it.
    // A kernel without huge pages refuses it, which does not matter.
    let _ = unsafe { madvise(memory.as_mut_ptr().cast(), len, Advice::LinuxHugepage) };
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_large_as_asked_and_aligned() {
        for (asked, got) in [(1, HUGE_BYTES), (HUGE_BYTES, HUGE_BYTES), (HUGE_BYTES + 1, 2 * HUGE_BYTES)] {
            let memory = huge(asked);
            assert_eq!((memory.len(), memory.as_ptr().addr() % HUGE_BYTES), (got, 0));
            assert!(memory.iter().all(|&byte| byte == 0));
        }
    }
}
