// SPDX-License-Identifier: GPL-3.0-or-later
//! How many instructions the hot loops take for a byte, a block or a run, counted by valgrind:
//! `cargo bench --bench instructions`.
//!
//! Time on a busy machine varies by more than most mistakes cost; the number of instructions does not. So each loop has
//! a [bound](bounds), a fifth above what it takes, and one that is above it fails. To leave out what comes before the
//! loop, each is counted once with one round and once with some more: the difference is that of the rounds between.
//!
//! Exit code 0 when all are within their bounds, 1 when one is not, 2 when there was an error.

mod bounds;
#[path = "../micro/loops.rs"]
mod loops;
#[path = "../../tests/common/metadata_builder.rs"]
mod metadata_builder;
#[path = "../side_by_side/random.rs"]
mod random;

use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use loops::{LOOPS, Loop, Unit};

const ROUNDS: u32 = 3;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--loop", name, rounds] => run(name, rounds).map(|()| true),
        // `cargo test --benches` starts this too, without the argument.
        _ if args.iter().any(|arg| arg == "--bench") => compare(),
        _ => Ok(true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            eprintln!("instructions: {e:#}");
            ExitCode::from(2)
        }
    }
}

/// What valgrind looks at.
fn run(name: &str, rounds: &str) -> anyhow::Result<()> {
    let of = LOOPS.iter().find(|of| of.name == name).context("no such loop")?;
    let mut once = (of.make)();
    for _ in 0..rounds.parse()? {
        once();
    }
    Ok(())
}

/// Prints the table; returns whether all are within their bounds.
fn compare() -> anyhow::Result<bool> {
    println!("{:<24} {:>10} {:>10}  instructions", "", "counted", "bound");
    let mut all_within = true;
    for (name, bound) in bounds::MOST {
        let of = LOOPS.iter().find(|of| of.name == name).context("no such loop")?;
        let counted = each(of)?;
        let within = counted <= bound;
        all_within &= within;
        let unit = match of.unit {
            Unit::Byte => "a byte",
            Unit::Block => "a block",
            Unit::Run => "a run",
        };
        println!("{name:<24} {counted:>10.3} {bound:>10.3}  {unit}{}", if within { "" } else { ": MISSED" });
    }
    Ok(all_within)
}

/// Instructions for each unit.
fn each(of: &Loop) -> anyhow::Result<f64> {
    let more = count(of.name, 1 + ROUNDS)?.saturating_sub(count(of.name, 1)?);
    Ok(real(more) / real(u64::from(ROUNDS) * of.units))
}

fn count(name: &str, rounds: u32) -> anyhow::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--loop", name, &rounds.to_string()])
        .output()
        .context("cannot start valgrind; install the Debian package valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("valgrind, {name}: {}\n{}", output.status, said.trim_end());
    }
    // Like `==123== I   refs:      1,234,567`.
    let digits = said.lines().find_map(|line| line.split_once("refs:")).context("valgrind did not count")?.1;
    Ok(digits.trim().replace(',', "").parse()?)
}

/// Exact far beyond any count here.
#[allow(clippy::cast_precision_loss)]
fn real(n: u64) -> f64 {
    n as f64
}
