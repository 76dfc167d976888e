// SPDX-License-Identifier: GPL-3.0-or-later
//! What an increment of 1 GiB costs on large devices that are mostly zeros: 1024 segments, as far from each other as they can be, which
//! is the most that trees can cost. For an optimized program and a machine that does nothing else:
//!
//! ```text
//! ERA=target/release/era cargo test --test restic -- --ignored --nocapture scale
//! ```

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::{Bench, PASSWORD};
use crate::device::{Device, MIB};

const TIB: u64 = 1 << 40;
const CHANGED: u64 = 1024;

/// What a run took.
struct Cost {
    seconds: f64,
    peak_kib: u64,
    said: String,
}

/// A stream goes from a file into the repository.
fn measured(bench: &Bench, stream: &[u8]) -> Cost {
    let (input, said) = (bench.path("stream"), bench.path("said"));
    fs::write(&input, stream).unwrap();
    let program = std::env::var("ERA").expect("ERA is the program, such as target/release/era");
    let begin = Instant::now();
    let mut child = Command::new(program)
        .args(["receive", "--init", "--name", "vol", &bench.url()])
        .env("RESTIC_PASSWORD", PASSWORD)
        .stdin(File::open(&input).unwrap())
        .stdout(Stdio::null())
        .stderr(File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let mut peak_kib = 0;
    let status = loop {
        // The peak only grows; it is gone when the process is.
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak_kib = line.map_or(peak_kib, |line| line.trim().trim_end_matches(" kB").parse().unwrap());
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        thread::sleep(Duration::from_millis(5));
    };
    let said = fs::read_to_string(said).unwrap();
    assert!(status.success(), "{said}");
    Cost { seconds: begin.elapsed().as_secs_f64(), peak_kib, said }
}

#[test]
#[ignore = "measures, and wants an optimized program"]
fn scale() {
    for tib in [1, 4, 16] {
        let (bench, mut device) = (Bench::new(), Device::new(tib * TIB));
        device.write(0, 1);
        let first = measured(&bench, &device.full());
        let before = bench.size();
        for number in 0..CHANGED {
            let segment = number * (tib * TIB / MIB / CHANGED);
            device.fill(segment, number + 2);
        }
        let next = measured(&bench, &device.increment());
        let added = bench.size() - before;
        println!(
            "{tib:2} TiB: first {:.2} s, {} MiB; then 1 GiB changed {:.2} s, {} MiB; {} KiB were added beyond it\n{}",
            first.seconds,
            first.peak_kib >> 10,
            next.seconds,
            next.peak_kib >> 10,
            added.saturating_sub(CHANGED * MIB) >> 10,
            next.said.trim_end(),
        );
        assert!(next.peak_kib >> 10 < 512);
    }
}
