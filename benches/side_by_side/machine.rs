// SPDX-License-Identifier: GPL-3.0-or-later
//! The machine that the numbers are of.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

/// A few lines for the head of the table.
pub fn describe(dir: &Path) -> anyhow::Result<Vec<(&'static str, String)>> {
    let cores = std::thread::available_parallelism()?;
    let model = value_in("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    Ok(vec![
        ("processor", format!("{model}, {cores} cores")),
        ("memory", value_in("/proc/meminfo", "MemTotal").unwrap_or_default()),
        ("kernel", format!("Linux {}", fs::read_to_string("/proc/sys/kernel/osrelease")?.trim())),
        ("filesystem", filesystem(dir)?),
    ])
}

/// The value of the first line like `key : value`.
fn value_in(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == key).then(|| value.trim().to_owned())
    })
}

/// Type and device of the filesystem that a directory is on. One in memory is refused: it is no disk, and before
/// Linux 6.6 it had no direct I/O.
fn filesystem(dir: &Path) -> anyhow::Result<String> {
    let dir = dir.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    // The mount point is the fifth word; type and device follow a lone dash. The last mount on a point counts.
    let mount = mounts
        .lines()
        .filter_map(|line| {
            let point = line.split(' ').nth(4).filter(|point| dir.starts_with(point))?;
            let mut words = line.split_once(" - ")?.1.split(' ');
            Some((point.len(), words.next()?, words.next()?))
        })
        .max_by_key(|(length, ..)| *length);
    match mount.with_context(|| format!("no filesystem is known for {}", dir.display()))? {
        (_, kind @ ("tmpfs" | "ramfs"), _) => {
            bail!("{} is on {kind}, not on a disk; set CARGO_TARGET_DIR to a directory on one", dir.display())
        }
        (_, kind, device) => Ok(format!("{kind} on {device}")),
    }
}
