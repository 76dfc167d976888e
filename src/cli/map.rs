// SPDX-License-Identifier: GPL-3.0-or-later
//! `era changed --map`: the device as a picture, a character for some blocks, by the age of the newest write to them.
//!
//! The characters say it all; colours only say it again. A row is a power of two of blocks, so that it begins at a round
//! offset.

use std::fmt::Write;

use crate::metadata::{AGES, Age, LastWritten};
use crate::report;
use crate::report::terminal::{self, Terminal};

/// What the ages are drawn as, the youngest first.
const CHARACTERS: [char; AGES] = ['#', '%', '*', '+', '=', '-'];
/// Black on red, yellow, green and cyan, white on blue and grey.
const COLOURS: [&str; AGES] = ["30;41", "30;43", "30;42", "30;46", "97;44", "97;100"];
const NEVER: char = '.';
const NEVER_COLOUR: &str = "2";

/// Columns of the offset before a row and the gap after it.
const MARGIN: usize = 12;
/// Lines around the picture: the head, the legend, empty ones, and the next prompt.
const OTHER_LINES: usize = 13;
/// The least that is shown of a name.
const NAME: usize = 20;
/// Below this many columns, the legend has no sizes.
const WIDE: usize = 70;
/// Rows where there is no terminal.
const ROWS: usize = 16;

/// How many characters a picture may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    columns: usize,
    rows: usize,
}

impl Grid {
    /// What fits.
    pub(super) fn of(terminal: &Terminal) -> Self {
        let columns = power_of_two(terminal.columns.saturating_sub(MARGIN)).clamp(8, 128);
        let rows = power_of_two(terminal.lines.saturating_sub(OTHER_LINES)).clamp(4, 32);
        Self { columns, rows: if terminal.is_terminal { rows } else { ROWS } }
    }

    pub(super) fn cells(self) -> usize {
        self.columns * self.rows
    }
}

/// The largest one that is not above `n`.
fn power_of_two(n: usize) -> usize {
    n.checked_ilog2().map_or(1, |log| 1 << log)
}

/// Draws it, for a device or file of this name.
pub(super) fn draw(name: &str, written: &LastWritten, grid: Grid, terminal: &Terminal) -> String {
    let mut text = head(name, written, terminal);
    text.push('\n');
    let block_bytes = written.superblock.block_size.bytes();
    let row_bytes = grid.columns as u64 * written.blocks_per_cell() * block_bytes;
    for (row, cells) in (0..).zip(written.cells.chunks(grid.columns)) {
        let offset = report::size(row * row_bytes).to_string();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{offset:>10}  {}", paint(cells, terminal.has_colour));
    }
    text.push('\n');
    legend(&mut text, written, terminal);
    text
}

fn head(name: &str, written: &LastWritten, terminal: &Terminal) -> String {
    let size = written.superblock.block_size.bytes();
    let blocks = u64::from(written.superblock.nr_blocks);
    let facts = format!(
        ": {}, {} {} of {}; newest era {}",
        report::size(blocks * size),
        blocks,
        if blocks == 1 { "block" } else { "blocks" },
        report::size(size),
        written.newest
    );
    let name = terminal::shorten(name, terminal.columns.saturating_sub(facts.len()).max(NAME));
    let each = match written.blocks_per_cell() {
        1 => "each character is a block".into(),
        n => {
            format!("each character is the newest of {n} blocks, {}", report::size(n.saturating_mul(size)))
        }
    };
    let lines = [name + &facts, each].map(|line| terminal::fold(&line, terminal.columns).join("\n"));
    lines.join("\n") + "\n"
}

/// A row. Neighbours of one age share their colour's code.
fn paint(cells: &[Option<Age>], with_colour: bool) -> String {
    let mut row = String::new();
    for same in cells.chunk_by(|a, b| a == b) {
        let age = same.first().copied().flatten();
        let characters: String = same.iter().map(|_| character(age)).collect();
        row.push_str(&coloured(&characters, age, with_colour));
    }
    row
}

fn character(age: Option<Age>) -> char {
    age.map_or(NEVER, |age| CHARACTERS[age.index()])
}

fn coloured(characters: &str, age: Option<Age>, with_colour: bool) -> String {
    let colour = age.map_or(NEVER_COLOUR, |age| COLOURS[age.index()]);
    if with_colour { format!("\x1b[{colour}m{characters}\x1b[0m") } else { characters.into() }
}

/// One line for each age that there can be, with how much is of it.
fn legend(text: &mut String, written: &LastWritten, terminal: &Terminal) {
    let block_bytes = written.superblock.block_size.bytes();
    let since = written.since.0.max(1);
    let mut rest = u64::from(written.superblock.nr_blocks);
    let mut line = |age: Option<Age>, what: &str, blocks: u64| {
        let mark = coloured(&character(age).to_string(), age, terminal.has_colour);
        let size = report::size(blocks * block_bytes).to_string();
        let unit = if blocks == 1 { "block" } else { "blocks" };
        let _ = if terminal.columns < WIDE {
            writeln!(text, "  {mark}  {:<24} {blocks:>10}", terminal::shorten(what, 24))
        } else {
            writeln!(text, "  {mark}  {what:<31}  {blocks:>10} {unit:<6}  {size:>10}")
        };
    };
    for age in Age::all() {
        let Some(last) = written.newest.0.checked_sub(age.first()).filter(|&last| last >= since) else {
            break;
        };
        let first = written.newest.0.saturating_sub(age.last()).max(since);
        let blocks = written.blocks(age);
        rest -= blocks;
        line(Some(age), &eras(first, last), blocks);
    }
    line(
        None,
        &if since == 1 { "not since tracking began".into() } else { format!("not since era {since}") },
        rest,
    );
}

fn eras(first: u32, last: u32) -> String {
    if first == last { format!("written in era {first}") } else { format!("eras {first} to {last}") }
}
