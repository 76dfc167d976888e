// SPDX-License-Identifier: GPL-3.0-or-later
//! What reaches an SFTP server starts ssh as a daemon that serves all connections, and ends it neither when the program ends nor later: each run
//! would leave one more, with its directory. They are this process's children once it adopts what daemons leave behind, and so it can
//! end them.
//!
//! Killed, it cannot: then they remain until the server ends the connection.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid};

/// What the directories are called in which they have their sockets.
const DIRECTORY: &str = ".ssh-connection";

/// How many want them.
static USERS: AtomicUsize = AtomicUsize::new(0);

/// As long as there is one, masters run.
#[derive(Debug)]
pub struct Masters(());

impl Masters {
    /// From now on this process is told of daemons that its children leave.
    pub fn adopt() -> anyhow::Result<Self> {
        set_child_subreaper(Some(getpid())).context("cannot adopt the processes that ssh starts")?;
        USERS.fetch_add(1, Ordering::SeqCst);
        Ok(Self(()))
    }
}

impl Drop for Masters {
    fn drop(&mut self) {
        if USERS.fetch_sub(1, Ordering::SeqCst) == 1 {
            end_all();
        }
    }
}

/// Ends them all: for the end of the program.
pub fn end_all() {
    let Ok(processes) = fs::read_dir("/proc") else { return };
    for process in processes.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let (path, Some(pid)) = (process.path(), Pid::from_raw(pid)) else { continue };
        // A process that is no more is none of ours.
        let Some(directory) = parent(&path).filter(|&it| it == getpid()).and_then(|_| directory(&path))
        else {
            continue;
        };
        if kill_process(pid, Signal::TERM).is_ok() {
            // It removes its socket.
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }
        let _ = fs::remove_dir_all(directory);
    }
}

/// Whose child a process is.
fn parent(process: &Path) -> Option<Pid> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    // The name before that may have spaces and parentheses.
    let (_, fields) = stat.rsplit_once(") ")?;
    Pid::from_raw(fields.split(' ').nth(1)?.parse().ok()?)
}

/// Where a master has its socket, should it be one.
fn directory(process: &Path) -> Option<PathBuf> {
    let line = fs::read(process.join("cmdline")).ok()?;
    let words: Vec<_> =
        line.split(|&byte| byte == 0).filter_map(|word| std::str::from_utf8(word).ok()).collect();
    let socket = words.windows(2).find(|pair| pair[0] == "-S")?[1];
    let directory = Path::new(socket).parent()?;
    directory.file_name()?.to_str()?.starts_with(DIRECTORY).then(|| directory.to_owned())
}
