// SPDX-License-Identifier: GPL-3.0-or-later
//! What tracking costs the programs that write: `cargo bench --bench tracked_device`.
//!
//! The [`contestants`](contestant) are the raw device, dm-era alone on it, the stack that `era create` makes, and the
//! same stack while a snapshot is being read. Each gets the same [`patterns`](pattern) of writes in turn, round after
//! round, in another order each time. The result is how fast a contestant is compared with the raw device of the same
//! round: what the host does besides, and a disk whose speed drifts, meet all alike. The rates beside the ratios are of
//! this machine and this minute, and say nothing about others.
//!
//! It runs in User-Mode Linux, on the machine of the kernel tests, as there no privilege and no spare disk are needed.
//! That machine has one processor, and a system call takes some 90 µs in it: written with one system call each, small
//! writes would cost the same everywhere, and every ratio would be flattering. So the [`writer`] is this same program,
//! started inside with `--inside`, and hands many writes over at a time.
//!
//! Its disks are files of the host behind User-Mode Linux's own driver, `ubd`, not loop devices on a tmpfs. With ubd a
//! request leaves the machine and completes in an interrupt, as with a real disk; and a flush is a flush of the host's
//! disk. Flushes are what dm-era waits for when it notes a block for the first time in an era: on a tmpfs they are free,
//! and first writes would look cheaper than they are. Writes that no flush follows end in the host's page cache, like
//! those in the cache of a disk, a very fast one: this, too, is not in our favour.
//!
//! Exit code 0 when it was measured, 2 when there was an error.

#[path = "../../tests/common/boot_program.rs"]
mod boot_program;
mod contestant;
#[path = "../side_by_side/machine.rs"]
mod host_facts;
mod inside;
#[path = "../../tests/kernel/machine.rs"]
mod machine;
mod outside;
mod parameters;
mod pattern;
#[path = "../../tests/kernel/prerequisites.rs"]
mod prerequisites;
#[path = "../../tests/kernel/processor.rs"]
mod processor;
#[path = "../side_by_side/random.rs"]
mod random;
#[path = "../../tests/kernel/scenario.rs"]
mod scenario;
mod stack;
mod table;
#[path = "../../tests/kernel/work_dir.rs"]
mod work_dir;
mod writer;

use std::process::ExitCode;

fn main() -> ExitCode {
    let has = |wanted: &str| std::env::args().any(|arg| arg == wanted);
    let done = if has("--inside") {
        inside::run()
    } else if has("--bench") {
        outside::run()
    } else {
        // `cargo test --benches` starts this too, without an argument.
        Ok(())
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("tracked_device: {e:#}");
            ExitCode::from(2)
        }
    }
}
