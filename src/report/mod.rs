// SPDX-License-Identifier: GPL-3.0-or-later
//! What people read: warnings, errors, progress, sizes. All of it goes to stderr; stdout is for data.

mod progress;

use std::fmt;
use std::io::{self, Write};
use std::sync::OnceLock;

pub use progress::{Progress, When};

static PROGRAM: OnceLock<&'static str> = OnceLock::new();

/// Sets the name that messages begin with, once; it is `era` otherwise.
pub fn set_program(name: &'static str) {
    PROGRAM.get_or_init(|| name);
}

/// The name that messages begin with.
pub fn program() -> &'static str {
    PROGRAM.get().copied().unwrap_or("era")
}

/// Prints a warning: something is done, but not as one might think.
pub fn warn(message: fmt::Arguments) {
    note(format_args!("warning: {message}"));
}

/// Prints what an error that ends the program says.
pub fn fail(message: fmt::Arguments) {
    note(message);
}

/// Prints what is good to know.
pub fn note(message: fmt::Arguments) {
    // Nobody may be there to read it, as when ssh has died: that must not stop the work, least of all a clean-up.
    let _ = writeln!(io::stderr(), "{}: {message}", program());
}

/// A number of bytes for people: exact below 1 KiB, else in binary units.
pub fn size(bytes: u64) -> bytesize::Display {
    bytesize::ByteSize(bytes).display().iec()
}
