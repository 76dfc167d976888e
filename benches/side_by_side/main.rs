// SPDX-License-Identifier: GPL-3.0-or-later
//! `era` side by side with what one would use in its place: `cargo bench --bench side_by_side`.
//!
//! A number of its own says little about a program that mostly waits for a disk. So each [`work`] is done by several
//! contestants, in turn, round after round, on the same data: what the machine does besides, and a disk whose speed
//! drifts, meet all of them alike. The tools it is compared with are started as a shell would start them.
//!
//! Words after `--` choose works, as in `cargo bench --bench side_by_side -- metadata metadata-huge`; without any, all are
//! done. A word that chooses nothing is an error, which names those that there are, as `--help` does.
//!
//! Exit code 0 when those [`targets`] are met that must be, 1 when one is missed, 2 when there was an error.
//!
//! Environment:
//! - `BENCH_MIB`: size of the data file, 512 without it. Smaller is for trying things out.
//! - `CLASSIC`: a directory with `era_copy` and `era_apply` of the classic tools, which then take part.

mod cache;
mod data;
mod loop_device;
mod machine;
#[path = "../../tests/common/metadata_builder.rs"]
mod metadata_builder;
mod mounted;
mod names;
mod peak;
mod pipeline;
mod random;
mod scattered;
#[path = "../../tests/common/stream_builder.rs"]
mod stream_builder;
mod streams;
mod table;
mod targets;
mod work;
mod works;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use data::Data;
use signal_hook::consts::{SIGINT, SIGTERM};
use works::Entry;

fn main() -> ExitCode {
    // `cargo test --benches` starts this too, without the argument.
    if !std::env::args().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    if std::env::args().any(|arg| arg == "--help") {
        println!("usage: side_by_side [WORK...]\n\nWithout a work, all are done: {}", works::names());
        return ExitCode::SUCCESS;
    }
    match bench() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            eprintln!("side_by_side: {e:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs all works; returns whether the targets were met.
fn bench() -> anyhow::Result<bool> {
    let chosen = works::chosen(std::env::args().skip(1))?;
    // An interrupted run returns through all destructors, and so removes its files.
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone())?;
    }
    let data = Data::make()?;
    table::head(&machine::describe(data.dir())?);
    let mut standings = Vec::new();
    for (name, make) in chosen {
        match make(&data)? {
            Entry::LeftOut { title, why } => table::left_out(title, &why),
            Entry::Work(work) => {
                work.warm_up(&interrupted)?;
                let standing = work.compete(name, &interrupted)?;
                table::rows(&work, &standing);
                standings.push(standing);
            }
        }
    }
    let verdicts = targets::judge(&standings);
    table::verdicts(&verdicts);
    Ok(verdicts.iter().all(|verdict| verdict.met || !verdict.must))
}
