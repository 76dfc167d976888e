// SPDX-License-Identifier: GPL-3.0-or-later
//! What people read: warnings, errors, progress, sizes. These go to stderr; stdout is for data, and `terminal` says how
//! to draw those there for people.

mod progress;
pub mod terminal;

use std::fmt;
use std::io::{self, IsTerminal, Write};
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

/// Prints what an error that ends the program says. In a log it is one line, as those are looked at line by line.
pub fn fail(message: fmt::Arguments) {
    if io::stderr().is_terminal() {
        note(message);
    } else {
        note(format_args!("{}", one_line(&message.to_string())));
    }
}

/// A text of several lines as one.
pub fn one_line(text: &str) -> String {
    let mut line = String::new();
    for part in text.lines().map(str::trim).filter(|part| !part.is_empty()) {
        match line.chars().next_back() {
            None => {}
            Some(':') => line.push(' '),
            Some(_) => line.push_str("; "),
        }
        line.push_str(part);
    }
    line
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_one() {
        assert_eq!(one_line("failed:\n  first\n\n  second\n"), "failed: first; second");
        assert_eq!(one_line("as it is"), "as it is");
        assert_eq!(one_line(""), "");
    }
}
