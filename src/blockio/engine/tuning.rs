// SPDX-License-Identifier: GPL-3.0-or-later
//! How deep the queue is, and what carries it: for the whole process, as its memory is.

use std::env;
use std::io;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use anyhow::bail;

use crate::sys::Ring;

/// Requests under way where nothing else is asked for. Scattered blocks of 4 KiB took 324 ms one by one on a disk that was
/// measured, 104 at a depth of 8, 88 at 32 and 84 at 128.
const DEPTH: u32 = 32;

/// The deepest queue: no more would be faster, and each request has its buffer.
pub const MAX_DEPTH: u32 = 1024;

/// Says what carries the requests, instead of what is best: `io_uring`, `threads` or `plain`.
const VARIABLE: &str = "ERA_IO";

static TUNING: OnceLock<Tuning> = OnceLock::new();

/// What carries requests to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// io_uring.
    Ring,
    /// A thread waits for each.
    Threads,
    /// One after another.
    Plain,
}

/// How the engine works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Requests under way at a time.
    pub depth: u32,
    /// What carries them; the best there is where nothing is said.
    pub carrier: Option<Carrier>,
}

impl Tuning {
    /// Sets for the process what the command line and the environment ask for. Only the first call counts.
    pub fn choose(depth: Option<u32>) -> anyhow::Result<()> {
        let carrier = match env::var(VARIABLE).as_deref() {
            Err(_) | Ok("") => None,
            Ok("io_uring") => {
                // Who asks for it is told where it cannot be; any descriptor does.
                if let Err(e) = Ring::new(io::stderr().as_fd(), 1) {
                    bail!("{VARIABLE} asks for io_uring, which cannot be had on this machine: {e}");
                }
                Some(Carrier::Ring)
            }
            Ok("threads") => Some(Carrier::Threads),
            Ok("plain") => Some(Carrier::Plain),
            Ok(other) => {
                bail!("{VARIABLE} is {other:?} in the environment; it can be io_uring, threads or plain")
            }
        };
        let depth = depth.unwrap_or(DEPTH).clamp(1, MAX_DEPTH);
        TUNING.get_or_init(|| Tuning { depth, carrier });
        Ok(())
    }

    /// What was chosen, or what is best.
    pub fn current() -> Self {
        TUNING.get().copied().unwrap_or(Self { depth: DEPTH, carrier: None })
    }
}
