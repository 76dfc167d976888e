// SPDX-License-Identifier: GPL-3.0-or-later
//! Peak memory of running processes.
//!
//! The exact number is wait4's, for which there is no safe call. The kernel's high-water mark of a process never
//! falls, so looking at it every few milliseconds misses only what is touched after the last look. The mark itself
//! is the process's own from its exec on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(5);

pub struct Sampler {
    done: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u64>>,
}

impl Sampler {
    pub fn start(pids: Vec<u32>) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let done = done.clone();
            move || sample(&pids, &done)
        });
        Self { done, thread }
    }

    /// The peaks in bytes, in the order of the process ids; 0 for one that was gone before the first look.
    pub fn finish(self) -> Vec<u64> {
        self.done.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().expect("the sampler does not panic")
    }
}

fn sample(pids: &[u32], done: &AtomicBool) -> Vec<u64> {
    let mut peaks = vec![0; pids.len()];
    while !done.load(Ordering::Relaxed) {
        for (peak, pid) in peaks.iter_mut().zip(pids) {
            *peak = high_water_mark(*pid).unwrap_or(0).max(*peak);
        }
        thread::park_timeout(INTERVAL);
    }
    peaks
}

fn high_water_mark(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
