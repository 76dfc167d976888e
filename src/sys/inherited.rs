// SPDX-License-Identifier: GPL-3.0-or-later
//! Descriptors that a process was started with.

#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes a descriptor over that this process was started with for its use, by the number that it was told.
///
/// # Panics
/// When it is one of the standard three, which the standard library uses.
pub fn adopt(number: RawFd) -> OwnedFd {
    assert!(number > 2, "descriptor {number} is not ours to take");
    // SAFETY: the parent opened it for us and said so; nothing in this process knows of it but the caller, who has
    // its number from the parent. At worst it is closed, and then its use fails.
    unsafe { OwnedFd::from_raw_fd(number) }
}
