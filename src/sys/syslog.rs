// SPDX-License-Identifier: GPL-3.0-or-later
//! The system's log, by way of the C library: which socket and which format there is its business.

#![allow(unsafe_code)]

use std::ffi::CString;

/// Writes a line to the system's log, as a warning about who may do what. Where there is no log, nothing happens.
///
/// Control characters are the caller's business; at a NUL the line is given up.
pub fn log_refusal(line: &str) {
    let Ok(line) = CString::new(line) else { return };
    // SAFETY: all three are strings that end with a NUL. The C library keeps the pointer to the first: it is static. The
    // format takes one string, and that is what follows.
    unsafe {
        libc::openlog(c"era".as_ptr(), libc::LOG_PID, libc::LOG_AUTHPRIV);
        libc::syslog(libc::LOG_WARNING, c"%s".as_ptr(), line.as_ptr());
    }
}
