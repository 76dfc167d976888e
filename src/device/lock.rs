// SPDX-License-Identifier: GPL-3.0-or-later
//! One command at a time for each tracked device: an advisory lock on its metadata device.
//!
//! It lasts as long as a descriptor of it is open in some process, so it cannot be left behind, and a guardian that
//! inherits it keeps the next command waiting until all is undone.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock, fstat};
use rustix::io::Errno;

use crate::report;

/// udev locks a device for the moment in which it looks at it: that is nothing to tell of.
const SILENCE: Duration = Duration::from_secs(1);

/// A lock that somebody else holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// Who it is, as far as the system tells.
    pub holder: String,
}

/// Takes the lock; says whom it waits for where that takes longer.
pub fn lock(device: impl AsFd, path: &Path) -> anyhow::Result<()> {
    take_lock(device, path, FlockOperation::LockExclusive, FlockOperation::NonBlockingLockExclusive)
}

/// Takes the lock together with others who share it.
pub fn lock_shared(device: impl AsFd, path: &Path) -> anyhow::Result<()> {
    take_lock(device, path, FlockOperation::LockShared, FlockOperation::NonBlockingLockShared)
}

/// Takes the lock, unless somebody holds it for longer than a moment.
pub fn try_lock(device: impl AsFd, path: &Path) -> anyhow::Result<Result<(), InUse>> {
    let device = device.as_fd();
    match take_soon(device, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(Err(InUse { holder: holder(device) })),
        result => result.map(Ok).with_context(|| format!("{}: cannot lock", path.display())),
    }
}

fn take_lock(
    device: impl AsFd,
    path: &Path,
    waiting: FlockOperation,
    at_once: FlockOperation,
) -> anyhow::Result<()> {
    let device = device.as_fd();
    let result = match take_soon(device, at_once) {
        Err(Errno::WOULDBLOCK) => {
            report::note(format_args!("{}: waiting for {}", path.display(), holder(device)));
            take(device, waiting)
        }
        result => result,
    };
    result.with_context(|| format!("{}: cannot lock", path.display()))
}

/// Tries for a moment.
fn take_soon(device: BorrowedFd, at_once: FlockOperation) -> Result<(), Errno> {
    let begin = Instant::now();
    loop {
        match take(device, at_once) {
            Err(Errno::WOULDBLOCK) if begin.elapsed() < SILENCE => thread::sleep(Duration::from_millis(20)),
            result => return result,
        }
    }
}

fn take(device: BorrowedFd, operation: FlockOperation) -> Result<(), Errno> {
    loop {
        match flock(device, operation) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Who holds a lock on an open device, as far as the system tells.
fn holder(device: impl AsFd) -> String {
    let found = fstat(device).ok().and_then(|stat| {
        let locks = fs::read_to_string("/proc/locks").ok()?;
        pids(&locks, stat.st_ino).into_iter().find_map(describe)
    });
    found.unwrap_or_else(|| "another program that holds its lock".into())
}

/// The processes that hold an flock on a file of this inode number, from the text of /proc/locks:
/// `1: FLOCK  ADVISORY  WRITE 1234 00:05:345 0 EOF`.
/// A process that has ended, its guardian having the lock still, is passed over.
fn pids(locks: &str, inode: u64) -> Vec<u32> {
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, "FLOCK", _, _, pid, file, ..] = fields[..] else { return None };
        (file.rsplit(':').next()?.parse() == Ok(inode)).then(|| pid.parse().ok())?
    };
    locks.lines().filter_map(parse).collect()
}

fn describe(pid: u32) -> Option<String> {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<_> = arguments.split(|&b| b == 0).map(String::from_utf8_lossy).collect();
    Some(format!("process {pid} ({})", words.join(" ").trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_found_by_inode() {
        let locks = "1: FLOCK  ADVISORY  WRITE 1234 00:05:345 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 77 00:05:345 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 78 00:05:345 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 9 fe:01:3 0 EOF\n";
        assert_eq!(pids(locks, 345), [1234]);
        assert!(pids(locks, 4).is_empty());
        assert!(pids("garbage\n\n", 4).is_empty());
    }

    #[test]
    fn the_second_waits_for_the_first() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let first = file.reopen().unwrap();
        lock(&first, file.path()).unwrap();
        let second = file.reopen().unwrap();
        assert_eq!(flock(&second, FlockOperation::NonBlockingLockExclusive), Err(Errno::WOULDBLOCK));
        assert!(try_lock(&second, file.path()).unwrap().unwrap_err().holder.contains("process"));
        drop(first);
        assert_eq!(try_lock(&second, file.path()).unwrap(), Ok(()));
        lock(&second, file.path()).unwrap();
    }
}
