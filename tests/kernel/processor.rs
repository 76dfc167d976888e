// SPDX-License-Identifier: GPL-3.0-or-later
//! A processor of the host for each machine.
//!
//! User-Mode Linux has one processor, but several processes of the host that take turns: its kernel, and each process in it,
//! which is traced. Every system call and page fault inside goes to and fro between two of them. When they are on two
//! processors of the host, each turn wakes up the other processor, which costs more than all the rest: a machine that is held
//! on one processor does the same in little more than half the time.

use std::{collections::BTreeSet, fs, sync::Mutex};

/// Those that have a machine.
static TAKEN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// A processor that no other machine of this process has, until this is dropped.
pub struct Processor(u32);

impl Processor {
    /// `None` when there are more machines than processors: then the host places them.
    pub fn take() -> Option<Self> {
        let allowed = allowed(&fs::read_to_string("/proc/thread-self/status").ok()?);
        let mut taken = TAKEN.lock().ok()?;
        // Where this thread was put is likely to be the idler one, of all that is going on in the host.
        let here = here(&fs::read_to_string("/proc/thread-self/stat").ok()?);
        let free = here.into_iter().chain(allowed).find(|number| !taken.contains(number))?;
        taken.insert(free);
        Some(Self(free))
    }

    pub fn number(&self) -> u32 {
        self.0
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        if let Ok(mut taken) = TAKEN.lock() {
            taken.remove(&self.0);
        }
    }
}

/// Those that a process may run on, of its file `status`: a list like `0-3,8`.
fn allowed(status: &str) -> Vec<u32> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// The one that a thread ran on last, of its file `stat`: the 39th field; the second is a name in parentheses.
fn here(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(36)?.parse().ok()
}
