// SPDX-License-Identifier: GPL-3.0-or-later
//! What stdout is drawn on: how wide it is, and whether it shows colours.
//!
//! In a pipe nothing is drawn that depends on who looks: 80 columns, no colours, no bars, and each message is one line.

use std::env;
use std::io::{self, IsTerminal};

use rustix::termios::tcgetwinsize;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns and lines where there is no terminal, or one that does not say.
const PIPE: (usize, usize) = (80, 24);

/// What stdout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Whether it is a terminal at all.
    pub is_terminal: bool,
    /// How many characters fit on a line.
    pub columns: usize,
    /// How many lines fit.
    pub lines: usize,
    /// Whether to use colours.
    pub has_colour: bool,
}

impl Terminal {
    /// Looks at stdout; `colour` is what the user wants, where that was said.
    pub fn stdout(colour: Option<bool>) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let size = is_terminal.then(|| tcgetwinsize(rustix::stdio::stdout()).ok()).flatten();
        let or = |n: Option<u16>, default| n.filter(|&n| n > 0).map_or(default, usize::from);
        Self {
            is_terminal,
            columns: or(size.map(|size| size.ws_col), PIPE.0),
            lines: or(size.map(|size| size.ws_row), PIPE.1),
            has_colour: colour.unwrap_or_else(|| is_terminal && shows_colours()),
        }
    }

    /// A text behind so many columns: on a terminal in lines that fit, in a pipe in one.
    pub fn lines_of(&self, text: &str, margin: usize) -> Vec<String> {
        if self.is_terminal { fold(text, self.columns.saturating_sub(margin)) } else { vec![harmless(text)] }
    }

    /// A pipe or a file.
    pub fn pipe() -> Self {
        Self { is_terminal: false, columns: PIPE.0, lines: PIPE.1, has_colour: false }
    }
}

/// As <https://no-color.org> says: set and not empty.
fn shows_colours() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// A text that may be of anybody, fit to be shown: what would move the cursor or change colours is replaced.
pub fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_invisible(c) { '\u{fffd}' } else { c }).collect()
}

/// What turns the direction of writing around.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The columns that a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// A text in at most so many columns: the middle is left out, as names differ at their ends.
pub fn shorten(text: &str, columns: usize) -> String {
    const GAP: &str = "...";
    let text = harmless(text);
    if width(&text) <= columns {
        return text;
    }
    let Some(room) = columns.checked_sub(GAP.len()) else {
        return GAP.chars().take(columns).collect();
    };
    let head = prefix(text.chars(), room / 2);
    let tail: String = prefix(text.chars().rev(), room - room / 2).chars().rev().collect();
    format!("{head}{GAP}{tail}")
}

/// As many characters as fit.
fn prefix(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut left = columns;
    chars
        .map_while(|c| {
            left = left.checked_sub(c.width().unwrap_or(0))?;
            Some(c)
        })
        .collect()
}

/// A text in lines of at most so many columns, broken at blanks, or anywhere where there are none.
pub fn fold(text: &str, columns: usize) -> Vec<String> {
    // A wide character takes two.
    let columns = columns.max(2);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in harmless(text).split_whitespace() {
        let blank = usize::from(used > 0);
        if used > 0 && used + blank + width(word) > columns {
            lines.push(String::new());
            used = 0;
        } else if used > 0 {
            push(&mut lines, ' ');
            used += 1;
        }
        for c in word.chars() {
            let wide = c.width().unwrap_or(0);
            if used + wide > columns {
                lines.push(String::new());
                used = 0;
            }
            push(&mut lines, c);
            used += wide;
        }
    }
    lines
}

fn push(lines: &mut [String], c: char) {
    if let Some(line) = lines.last_mut() {
        line.push(c);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_middle_is_left_out() {
        assert_eq!(shorten("short", 5), "short");
        assert_eq!(shorten("/dev/disk/by-id/ata-DISK_1234-part1", 15), "/dev/d...-part1");
        assert_eq!(shorten("longer", 2), "..");
        // Wide characters take two columns each; half of one does not fit.
        assert_eq!(shorten("\u{6f22}\u{5b57}\u{6f22}\u{5b57}", 6), "...\u{5b57}");
        assert_eq!(shorten("a\x1b[31mb", 80), "a\u{fffd}[31mb");
    }

    #[test]
    fn lines_break_at_blanks() {
        assert_eq!(fold("one two  three", 7), ["one two", "three"]);
        assert_eq!(fold("/a/very/long/path", 6), ["/a/ver", "y/long", "/path"]);
        assert_eq!(fold("", 7), [""]);
    }

    proptest! {
        #[test]
        fn nothing_is_too_wide(text in "\\PC{0,60}", columns in 2usize..50) {
            prop_assert!(width(&shorten(&text, columns)) <= columns);
            prop_assert!(fold(&text, columns).iter().all(|line| width(line) <= columns));
        }
    }
}
