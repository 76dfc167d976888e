// SPDX-License-Identifier: GPL-3.0-or-later
//! A command that somebody wants to be run before or after a backup, with a time limit.
//!
//! It is the leader of a process group, so that all that it has started is ended with it. What it prints goes to stderr:
//! stdout is for data.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// Between two looks at whether it has ended.
const INTERVAL: Duration = Duration::from_millis(20);

/// For which it may put things in order when it is to end.
const GRACE: Duration = Duration::from_secs(5);

/// A command, for `/bin/sh`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// What it is called in the configuration.
    pub name: &'static str,
    /// What the shell is given.
    pub command: String,
    /// How long it may take.
    pub limit: Duration,
}

impl Hook {
    /// Runs it to its end; no longer than `is_unwanted` says no. The environment is this process's, with `variables`.
    pub fn run(
        &self,
        variables: &[(&str, Option<String>)],
        is_unwanted: impl Fn() -> bool,
    ) -> anyhow::Result<()> {
        let what = || format!("{} ({})", self.name, self.command.trim());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &self.command]).stdin(Stdio::null()).process_group(0);
        command.stdout(io::stderr().as_fd().try_clone_to_owned().with_context(what)?);
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut child = command.spawn().with_context(what)?;
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().with_context(what)? {
                break status;
            }
            if is_unwanted() {
                end(&mut child).with_context(what)?;
                bail!("{}: interrupted", what());
            }
            if begin.elapsed() >= self.limit {
                end(&mut child).with_context(what)?;
                bail!("{}: ended, as it took longer than {:?}; see time_limit", what(), self.limit);
            }
            thread::sleep(INTERVAL);
        };
        check(status).with_context(what)
    }
}

fn check(status: ExitStatus) -> anyhow::Result<()> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => bail!("failed with status {code}"),
        (None, signal) => bail!("was ended by signal {}", signal.unwrap_or_default()),
    }
}

/// Ends it, and what it has started.
fn end(child: &mut Child) -> io::Result<()> {
    let group = Pid::from_child(child);
    // Until it is reaped, nobody else has its number.
    kill_process_group(group, Signal::TERM)?;
    let begin = Instant::now();
    while begin.elapsed() < GRACE && is_running(child)? {
        thread::sleep(INTERVAL);
    }
    kill_process_group(group, Signal::KILL)?;
    child.wait().map(drop)
}

/// Without reaping it.
fn is_running(child: &Child) -> io::Result<bool> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    Ok(waitid(WaitId::Pid(Pid::from_child(child)), options)?.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &str, limit: Duration) -> Result<(), String> {
        let hook = Hook { name: "before_cut", command: command.into(), limit };
        hook.run(&[("ERA_SOURCE", Some("vol".into())), ("HOME", None)], || false)
            .map_err(|e| format!("{e:#}"))
    }

    #[test]
    fn success_failure_and_environment() {
        let limit = Duration::from_secs(60);
        assert_eq!(run("[ $ERA_SOURCE = vol ] && [ -z \"$HOME\" ] && ! read line", limit), Ok(()));
        assert_eq!(run("exit 3", limit), Err("before_cut (exit 3): failed with status 3".into()));
        assert_eq!(run("kill -9 $$", limit), Err("before_cut (kill -9 $$): was ended by signal 9".into()));
    }

    #[test]
    fn what_takes_too_long_is_ended_with_all_that_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let command = format!("sleep 1000 & echo $! >{}; wait", file.display());
        // Longer than the shell needs to write that; how long does not matter.
        let said = run(&command, Duration::from_secs(1)).unwrap_err();
        assert!(said.ends_with("ended, as it took longer than 1s; see time_limit"), "{said}");
        let pid = std::fs::read_to_string(file).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        // It was told to end; how soon it does depends on what else there is to do.
        let is_gone = |_| {
            std::thread::sleep(Duration::from_millis(20));
            state().is_empty() || state().contains(") Z ")
        };
        assert!((0..1000).any(is_gone), "{}", state());
    }

    #[test]
    fn what_nobody_wants_any_more_is_ended() {
        let hook = Hook { name: "after_cut", command: "sleep 1000".into(), limit: Duration::from_secs(1000) };
        let said = hook.run(&[], || true).unwrap_err().to_string();
        assert_eq!(said, "after_cut (sleep 1000): interrupted");
    }
}
