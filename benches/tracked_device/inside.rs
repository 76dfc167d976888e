// SPDX-License-Identifier: GPL-3.0-or-later
//! The machine's part: round after round, every contestant in turn; prints the tables.

use std::{env, fs, path::PathBuf};

use anyhow::Context;

use crate::{
    contestant::Contestant,
    parameters::{ERA_BLOCKS, ROUNDS},
    pattern::{self, Pattern},
    stack::Disks,
    table::{self, Row},
    writer::Writer,
};

pub fn run() -> anyhow::Result<()> {
    let disks = Disks { data: disk("data")?, meta: disk("meta")? };
    table::introduction(fs::read_to_string("/proc/sys/kernel/osrelease")?.trim());
    for block_bytes in ERA_BLOCKS {
        let patterns = pattern::all(disks.data_bytes()?, block_bytes);
        table::rows(block_bytes, &compete(&disks, block_bytes, &patterns)?);
    }
    Ok(())
}

/// The machine's init has it from the head of the script.
fn disk(name: &str) -> anyhow::Result<PathBuf> {
    let variable = format!("ERA_TEST_DISK_{name}");
    env::var_os(&variable).map(PathBuf::from).with_context(|| format!("{variable} is not set"))
}

/// Two rows a pattern, with the seconds of all rounds.
fn compete(disks: &Disks, block_bytes: u64, patterns: &[Pattern]) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = patterns.iter().flat_map(Row::pair).collect();
    let count = Contestant::ALL.len();
    // The warm-up is the round before the first.
    for round in 0..=ROUNDS {
        for turn in 0..count {
            let who = (round + turn) % count;
            let contestant = Contestant::ALL[who];
            let seconds = take_turn(contestant, disks, block_bytes, patterns)
                .with_context(|| format!("{}, round {round}", contestant.title()))?;
            if round > 0 {
                rows.iter_mut().zip(seconds).for_each(|(row, seconds)| row.seconds[who].push(seconds));
            }
        }
    }
    Ok(rows)
}

/// All patterns, the first time and the second; the seconds of each.
fn take_turn(
    contestant: Contestant,
    disks: &Disks,
    block_bytes: u64,
    patterns: &[Pattern],
) -> anyhow::Result<Vec<f64>> {
    let device = contestant.begin(disks, block_bytes)?;
    let mut seconds = Vec::new();
    for pattern in patterns {
        let mut writer = Writer::open(&device, pattern.write_bytes, pattern.in_flight)?;
        for offsets in [&pattern.first, &pattern.again] {
            seconds.push(writer.write(offsets)?.as_secs_f64());
        }
    }
    contestant.end(disks, pattern::chunks(patterns))?;
    Ok(seconds)
}
