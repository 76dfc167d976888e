// SPDX-License-Identifier: GPL-3.0-or-later
//! A program that stops at a step, so that something can happen beside it.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::program::Run;

/// It has stopped.
pub struct Paused(Child);

impl Paused {
    /// Starts it, and waits until it has reached the step.
    pub fn at(step: &str, mut command: Command) -> Self {
        command.env("ERA_FAILPOINT", format!("{step}=stop"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        loop {
            let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            let (_, fields) = stat.rsplit_once(") ").unwrap();
            match fields.as_bytes()[0] {
                b'T' => return Self(child),
                b'Z' => panic!("{step} was not reached: {:?}", Run::from(child.wait_with_output().unwrap())),
                _ => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// To its end.
    pub fn go_on(self) -> Run {
        kill_process(Pid::from_child(&self.0), Signal::CONT).unwrap();
        self.0.wait_with_output().unwrap().into()
    }
}
