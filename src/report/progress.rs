// SPDX-License-Identifier: GPL-3.0-or-later
//! Progress of a transfer: a bar on a terminal; elsewhere nothing, or a line now and then where it is asked for.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{note, size};

/// When to show progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// On a terminal.
    OnTerminal,
    /// Wherever stderr goes.
    Always,
}

/// Time between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Progress of one transfer.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// When the next line is due; `None` with a bar, or with nothing.
    lines: Option<Cell<Instant>>,
}

impl Progress {
    /// Progress towards `total` bytes, or towards an end that is not known.
    pub fn new(when: When, total: Option<u64>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(total, target);
        let template = match total {
            Some(_) => "{bar:30} {bytes} of {total_bytes}, {binary_bytes_per_sec}, {eta} left",
            None => "{spinner} {bytes}, {binary_bytes_per_sec}",
        };
        // The templates are constants; the default style stands in for one that does not parse.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let lines = (!terminal && when == When::Always).then(|| Cell::new(Instant::now() + LINE_INTERVAL));
        Self { bar, lines }
    }

    /// No progress at all.
    pub fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), lines: None }
    }

    /// Counts bytes that are done.
    pub fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
        if let Some(due) = &self.lines
            && Instant::now() >= due.get()
        {
            self.print_line();
            due.set(Instant::now() + LINE_INTERVAL);
        }
    }

    /// Takes the bar away, or prints a last line. Dropping it, as an error does, only takes the bar away.
    pub fn finish(self) {
        if self.lines.is_some() {
            self.print_line();
        }
    }

    fn print_line(&self) {
        let done = self.bar.position();
        // A sum of u64 bytes over a duration: precise enough for people.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let rate = (done as f64 / self.bar.elapsed().as_secs_f64().max(0.001)) as u64;
        match self.bar.length() {
            Some(total) => note(format_args!(
                "{} of {}, {}/s, {} s left",
                size(done),
                size(total),
                size(rate),
                total.saturating_sub(done) / rate.max(1)
            )),
            None => note(format_args!("{}, {}/s", size(done), size(rate))),
        }
    }
}

impl Drop for Progress {
    /// An error message must not be drawn over.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
