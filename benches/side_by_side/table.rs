// SPDX-License-Identifier: GPL-3.0-or-later
//! The table, printed work by work as the results come in.

use crate::pipeline::Peak;
use crate::targets::Verdict;
use crate::work::{ROUNDS, Standings, Work};

/// Room for the longest command.
const LABEL_WIDTH: usize = 78;

pub fn head(machine: &[(&str, String)]) {
    for (what, value) in machine {
        println!("{what:<12}{value}");
    }
    println!("{:<12}{ROUNDS} rounds after a warm-up; page cache dropped before each run", "runs");
    println!(
        "\nMedians. ratio: how many times as fast as the first of its group, the median of all rounds.\n\
         peak: the most memory of each program of the pipeline, in MiB.\n"
    );
    println!("{:<LABEL_WIDTH$} {:>8} {:>8} {:>6}  peak", "", "seconds", "MiB/s", "ratio");
}

pub fn rows(work: &Work, standings: &Standings) {
    println!("\n{} ({:.0} MiB)", work.title, mib(work.bytes));
    for standing in &standings.contestants {
        println!(
            "  {:<width$} {:>8.3} {:>8.0} {:>6.2}  {}",
            standing.label,
            standing.seconds(),
            mib(work.bytes) / standing.seconds(),
            standing.ratio_to(standings.reference()),
            peaks(&standing.peaks),
            width = LABEL_WIDTH - 2,
        );
    }
    for (label, program) in &work.left_out {
        println!("  {label}: left out, {program} is not installed");
    }
}

pub fn left_out(title: &str, why: &str) {
    println!("\n{title}\n  left out: {why}");
}

pub fn verdicts(verdicts: &[Verdict]) {
    println!("\nTargets");
    for verdict in verdicts {
        let how = match (verdict.met, verdict.must) {
            (true, _) => "met",
            (false, true) => "MISSED",
            (false, false) => "not met",
        };
        println!("  {how:<9}{}", verdict.what);
    }
}

fn peaks(peaks: &[Peak]) -> String {
    let each: Vec<_> = peaks.iter().map(|peak| format!("{:.0}", mib(peak.bytes))).collect();
    each.join(" | ")
}

/// Exact far beyond any size here.
#[allow(clippy::cast_precision_loss)]
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
