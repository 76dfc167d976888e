// SPDX-License-Identifier: GPL-3.0-or-later
//! Runs the program under test, under any of its names.

// Each test target uses a part of this.
#![allow(dead_code)]

use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;

/// What a run left.
#[derive(Debug)]
pub struct Run {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Run {
    /// Standard output as text, of a run that succeeded and said nothing else.
    #[track_caller]
    pub fn text(&self) -> &str {
        self.expect_quiet_success();
        std::str::from_utf8(&self.stdout).unwrap()
    }

    #[track_caller]
    pub fn expect_quiet_success(&self) {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""));
    }

    /// A refusal: exit code 2, nothing on stdout, and a message that contains `says`.
    #[track_caller]
    pub fn expect_error(&self, says: &str) {
        assert_eq!(self.code, Some(2), "{}", self.stderr);
        assert!(self.stdout.is_empty(), "{} bytes on stdout", self.stdout.len());
        assert!(self.stderr.contains(says), "{says:?} is not in {:?}", self.stderr);
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).expect("messages are UTF-8"),
        }
    }
}

/// The program, called by one of its names: `era`, `era_copy`, `era_apply`.
pub fn command(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_era"));
    command.arg0(name).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program to its end.
pub fn run(name: &str, args: &[&str], stdin: &[u8]) -> Run {
    run_command(command(name, args), stdin)
}

/// Runs a command to its end.
pub fn run_command(mut command: Command, stdin: &[u8]) -> Run {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    thread::scope(|scope| {
        // A program that does not read its input is none of the writer's business.
        scope.spawn(move || drop(pipe.write_all(stdin)));
        child.wait_with_output().expect("the program ends").into()
    })
}

/// A file of the test data.
pub fn data(name: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "data", name].iter().collect();
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Bytes without a repeating pattern that a wrong offset could hide in.
pub fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}
