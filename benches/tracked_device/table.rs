// SPDX-License-Identifier: GPL-3.0-or-later
//! The table: a row for each pattern, first and second time, a column for each contestant.

use crate::{
    contestant::Contestant,
    parameters::{CHUNK, KIB, MIB, ROUNDS},
    pattern::Pattern,
};

pub struct Row {
    title: String,
    bytes: u64,
    /// Of each contestant in its order, all rounds.
    pub seconds: [Vec<f64>; Contestant::ALL.len()],
}

impl Row {
    /// The rows of a pattern, still without a measurement.
    pub fn pair(pattern: &Pattern) -> [Self; 2] {
        let row = |time: &str, offsets: &[u64]| Self {
            title: format!("{}: {time}", pattern.title),
            bytes: offsets.len() as u64 * pattern.write_bytes,
            seconds: Default::default(),
        };
        [row("first touch", &pattern.first), row("again", &pattern.again)]
    }

    fn rate(&self, who: usize) -> f64 {
        float(self.bytes) / float(MIB) / sorted(self.seconds[who].iter().copied())[ROUNDS / 2]
    }

    /// How many times as fast as the raw device, sorted. A round is compared with itself, so a speed that drifts from
    /// round to round does not count.
    fn ratios(&self, who: usize) -> Vec<f64> {
        sorted(self.seconds[0].iter().zip(&self.seconds[who]).map(|(raw, own)| raw / own))
    }
}

/// The machine that the absolute rates are of.
pub fn head(machine: &[(&str, String)]) {
    for (what, value) in machine {
        println!("{what:<12}{value}");
    }
}

pub fn introduction(kernel: &str) {
    println!("{:<12}User-Mode Linux {kernel}, one processor, ubd disks", "machine");
    println!("{:<12}{ROUNDS} rounds after a warm-up", "runs");
    println!(
        "\nratio: how many times as fast as the raw device; the median of all rounds, and what half of them lie between.\n\
         MiB/s: medians; they are of this machine only.\n\
         first touch: each write is the first one to its block since the era began (and since the snapshot, to a chunk\n\
         of {} KiB). again: the same places once more.",
        CHUNK / KIB
    );
}

pub fn rows(block_bytes: u64, rows: &[Row]) {
    println!("\n{:<42} {:>11}", format!("blocks of {} KiB", block_bytes / KIB), Contestant::ALL[0].title());
    for row in rows {
        println!("  {:<40} {:>5.0} MiB/s", row.title, row.rate(0));
        for (who, contestant) in Contestant::ALL.iter().enumerate().skip(1) {
            let ratios = row.ratios(who);
            println!(
                "    {:<38} {:>5.0} MiB/s  {:>5.2}  ({:.2} to {:.2})",
                contestant.title(),
                row.rate(who),
                ratios[ROUNDS / 2],
                ratios[ROUNDS / 4],
                ratios[ROUNDS - 1 - ROUNDS / 4],
            );
        }
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Exact far beyond any size here.
#[allow(clippy::cast_precision_loss)]
fn float(number: u64) -> f64 {
    number as f64
}
