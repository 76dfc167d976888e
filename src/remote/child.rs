// SPDX-License-Identifier: GPL-3.0-or-later
//! A process that takes part in a backup: what it says, and how it ends.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::stopping;

/// Lines of what a process says that are kept for an error message.
const LINES: usize = 20;

/// How long what a process has said is waited for, after its end.
const LINGER: Duration = Duration::from_secs(5);

/// Bytes of a line that are kept.
const LINE_BYTES: u64 = 4096;

/// A process, started.
pub struct Worker {
    what: String,
    child: Child,
    /// What it reads.
    pub stdin: Option<ChildStdin>,
    /// What it writes.
    pub stdout: Option<ChildStdout>,
    said: Receiver<Vec<String>>,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// What it was, for messages.
    pub what: String,
    status: ExitStatus,
    /// The last lines that it said.
    pub said: Vec<String>,
}

impl Worker {
    /// Starts a process. `stdin` is what it reads; a pipe where not given. With `aloud` what it says is passed on at
    /// once.
    pub fn start(
        what: String,
        mut command: Command,
        stdin: Option<Stdio>,
        aloud: bool,
    ) -> anyhow::Result<Self> {
        command.stdin(stdin.unwrap_or_else(Stdio::piped)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child =
            stopping::start(&mut command).with_context(|| format!("{what}: cannot start {program}"))?;
        let stderr = child.stderr.take().with_context(|| what.clone())?;
        let (tell, said) = mpsc::channel();
        // Nobody may want to know any more.
        thread::spawn(move || drop(tell.send(listen(stderr, aloud))));
        Ok(Self { what, stdin: child.stdin.take(), stdout: child.stdout.take(), child, said })
    }

    /// Waits for its end.
    pub fn wait(mut self) -> anyhow::Result<Ended> {
        drop((self.stdin.take(), self.stdout.take()));
        let status = stopping::wait(&mut self.child).with_context(|| self.what.clone())?;
        // A process that it has left behind, such as the master of an ssh connection, may keep its stderr open.
        let said = self.said.recv_timeout(LINGER).unwrap_or_default();
        Ok(Ended { what: self.what, status, said })
    }

    /// Reads all that it writes, which must be little, and waits for its end.
    pub fn output(mut self) -> anyhow::Result<(String, Ended)> {
        let mut text = String::new();
        let stdout = self.stdout.take().with_context(|| self.what.clone())?;
        stdout.take(256 << 20).read_to_string(&mut text).with_context(|| self.what.clone())?;
        Ok((text, self.wait()?))
    }
}

impl Ended {
    /// Its exit status; `None` where a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Whether it ended because nobody read what it wrote.
    pub fn lost_its_reader(&self) -> bool {
        self.status.signal() == Some(signal_hook::consts::SIGPIPE)
    }

    /// An error, unless it succeeded or gave a valid no, status 1. Returns whether it was yes.
    pub fn answer(&self) -> anyhow::Result<bool> {
        if self.code() == Some(1) { Ok(false) } else { self.check().map(|()| true) }
    }

    /// An error, unless it succeeded.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.status.success() {
            return Ok(());
        }
        let said = self.said.join("\n  ");
        let how = match (self.status.code(), self.status.signal()) {
            // As ssh says that it was not the command that failed.
            (Some(255), _) => "ssh failed, or the connection broke (status 255)".to_owned(),
            (Some(code), _) => format!("failed with status {code}"),
            (None, signal) => format!("was ended by signal {}", signal.unwrap_or_default()),
        };
        match said.is_empty() {
            true => bail!("{}: {how}, and said nothing", self.what),
            false => bail!("{}: {how}:\n  {said}", self.what),
        }
    }
}

/// Keeps the last lines.
fn listen(stderr: ChildStderr, aloud: bool) -> Vec<String> {
    let mut lines = VecDeque::new();
    let mut reader = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return lines.into(),
            Ok(_) => {}
        }
        let text: String = String::from_utf8_lossy(&line)
            .trim_end()
            .chars()
            // Another machine does not write to this one's terminal.
            .map(|c| if c.is_control() && c != '\t' { '?' } else { c })
            .collect();
        if aloud {
            eprintln!("{text}");
        }
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(script: &str) -> Worker {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Worker::start("the test".into(), command, None, false).unwrap()
    }

    #[test]
    fn what_it_says_is_in_the_error() {
        let (text, ended) = worker("echo out; echo first >&2; echo second >&2; exit 3").output().unwrap();
        assert_eq!((text.as_str(), ended.code()), ("out\n", Some(3)));
        assert_eq!(
            ended.check().unwrap_err().to_string(),
            "the test: failed with status 3:\n  first\n  second"
        );
        assert!(worker("exit 0").wait().unwrap().check().is_ok());
        let ended = worker("exit 255").wait().unwrap();
        assert!(ended.check().unwrap_err().to_string().contains("the connection broke"));
        let ended = worker("kill -PIPE $$").wait().unwrap();
        assert!(ended.lost_its_reader());
        assert!(ended.check().unwrap_err().to_string().contains("signal 13"));
    }

    #[test]
    fn only_the_last_lines_are_kept_and_none_can_do_harm() {
        let ended =
            worker("i=0; while [ $i -lt 50 ]; do echo line $i >&2; i=$((i+1)); done; printf '\\033[2Jx' >&2")
                .wait()
                .unwrap();
        assert_eq!(ended.said.len(), LINES);
        assert_eq!(ended.said.last().unwrap(), "?[2Jx");
        assert_eq!(ended.said[LINES - 2], "line 49");
    }
}
