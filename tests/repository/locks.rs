// SPDX-License-Identifier: GPL-3.0-or-later
//! Who waits for whom: the table in `docs/repository.md`, field by field.
//!
//! A receiver holds its lock as long as its stream has not ended. For commands that do not wait for anything, the test
//! holds their locks. Another command then ends, or says that it waits and for whom.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin};
use std::thread;

use rustix::fs::{FlockOperation, flock};

use crate::bench::{Bench, Device};
use crate::program::{self, Run};

/// Commands that only read.
const READERS: [&[&str]; 4] = [
    &["restore", "--force", "REPO", "restored"],
    &["points", "REPO"],
    &["verify", "REPO"],
    &["hashes", "--sample", "1", "REPO"],
];

const PRUNE: &[&str] = &["prune", "--keep-last", "9", "REPO"];

/// Two points, and a stream that is to be the third.
fn ready() -> (Bench, Device, Vec<u8>) {
    let (mut bench, mut device) = (Bench::new(), Device::new(200_000));
    device.write_some(30);
    let full = device.full();
    bench.receive(&full, &device);
    device.write_some(20);
    let increment = device.increment();
    bench.receive(&increment, &device);
    device.write_some(20);
    let stream = device.increment();
    (bench, device, stream)
}

/// A command that runs.
struct Running(Child);

impl Running {
    fn start(bench: &Bench, args: &[&str]) -> Self {
        let repo = bench.path();
        let args: Vec<String> = args.iter().map(|arg| arg.replace("REPO", repo.to_str().unwrap())).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = program::command("era", &args);
        command.current_dir(repo.parent().unwrap());
        Self(command.spawn().unwrap())
    }

    /// All of its input, at once.
    fn given(mut self, input: &[u8]) -> Self {
        let (mut stdin, input) = (self.0.stdin.take().unwrap(), input.to_vec());
        thread::spawn(move || drop(stdin.write_all(&input)));
        self
    }

    /// The first line that it says, and nothing of what follows.
    fn says(&mut self) -> String {
        let (mut said, mut byte) = (String::new(), [0]);
        let stderr = self.0.stderr.as_mut().unwrap();
        while stderr.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            said.push(char::from(byte[0]));
        }
        said
    }

    /// It says for whom it waits, a process or a command, and does.
    #[track_caller]
    fn waits_for(mut self, whom: &str) -> Self {
        let said = self.says();
        assert!(said.contains("waiting for") && said.contains(whom), "{said}");
        assert!(self.0.try_wait().unwrap().is_none(), "it does not wait");
        self
    }

    #[track_caller]
    fn ends_well(self) -> Run {
        let run = Run::from(self.0.wait_with_output().unwrap());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run
    }
}

/// `era receive` in the middle of a stream, and the way to give it the rest.
fn receive_half(bench: &Bench, stream: &[u8]) -> (Running, ChildStdin) {
    let mut receiver = Running::start(bench, &["receive", "REPO"]);
    let mut stdin = receiver.0.stdin.take().unwrap();
    stdin.write_all(&stream[..stream.len() / 2]).unwrap();
    // It has its lock before it begins a journal.
    while !bench.file("undo/2-3.index").exists() {
        assert!(receiver.0.try_wait().unwrap().is_none(), "it ended");
        thread::yield_now();
    }
    (receiver, stdin)
}

fn finish(receiver: Running, mut stdin: ChildStdin, stream: &[u8]) {
    stdin.write_all(&stream[stream.len() / 2..]).unwrap();
    drop(stdin);
    receiver.ends_well();
}

fn hold(bench: &Bench, name: &str, how: FlockOperation) -> File {
    let file = File::options().write(true).create(true).truncate(false).open(bench.file(name)).unwrap();
    flock(&file, how).unwrap();
    file
}

#[test]
fn readers_beside_a_receiver_see_what_is_whole() {
    let (mut bench, device, stream) = ready();
    let (receiver, stdin) = receive_half(&bench, &stream);
    for args in READERS {
        Running::start(&bench, args).ends_well();
    }
    bench.check();
    finish(receiver, stdin, &stream);
    bench.kept.push((3, device.bytes));
    bench.check_tidy();
}

#[test]
fn a_receiver_waits_for_another() {
    let (mut bench, mut device, stream) = ready();
    let third = device.bytes.clone();
    device.write(7, false);
    let next = device.increment();
    let (receiver, stdin) = receive_half(&bench, &stream);
    let pid = receiver.0.id().to_string();
    // What comes too early leaves a gap, which is found before it waits.
    Run::from(Running::start(&bench, &["receive", "REPO"]).given(&next).0.wait_with_output().unwrap())
        .expect_error("leaves a gap");
    let again = Running::start(&bench, &["receive", "REPO"]).given(&stream).waits_for(&pid);
    finish(receiver, stdin, &stream);
    bench.kept.push((3, third.clone()));
    // What it was to add is there already: a point like the one before.
    again.ends_well();
    bench.kept.push((4, third));
    bench.receive(&next, &device);
    bench.check_tidy();
}

#[test]
fn lists_and_old_points_wait_for_a_receiver() {
    for args in [&["hashes", "REPO"], PRUNE] {
        let (mut bench, device, stream) = ready();
        let (receiver, stdin) = receive_half(&bench, &stream);
        let other = Running::start(&bench, args).waits_for(&receiver.0.id().to_string());
        finish(receiver, stdin, &stream);
        other.ends_well();
        bench.kept.push((3, device.bytes));
        bench.check_tidy();
    }
}

#[test]
fn beside_a_reader_all_but_prune_runs() {
    let (mut bench, device, stream) = ready();
    let reader = hold(&bench, "lock.readers", FlockOperation::LockShared);
    for args in READERS {
        Running::start(&bench, args).ends_well();
    }
    Running::start(&bench, &["hashes", "REPO"]).ends_well();
    Running::start(&bench, &["receive", "REPO"]).given(&stream).ends_well();
    bench.kept.push((3, device.bytes));
    let prune = Running::start(&bench, PRUNE).waits_for(&std::process::id().to_string());
    bench.check();
    drop(reader);
    prune.ends_well();
    bench.check_tidy();
}

#[test]
fn prune_that_waits_for_a_reader_holds_nobody_up() {
    let (mut bench, device, stream) = ready();
    let reader = hold(&bench, "lock.readers", FlockOperation::LockShared);
    let prune = Running::start(&bench, PRUNE).waits_for(&std::process::id().to_string());
    // A mount may be there for days. And the list of a sample is one of a backup whose receiver comes after it.
    let mut receiver = Running::start(&bench, &["receive", "REPO"]).given(&stream);
    let said = receiver.says();
    assert!(said.contains("point 3: "), "{said}");
    receiver.ends_well();
    Running::start(&bench, &["points", "REPO"]).ends_well();
    drop(reader);
    prune.ends_well();
    bench.kept.push((3, device.bytes));
    bench.check_tidy();
}

#[test]
fn all_wait_for_prune() {
    let (mut bench, device, stream) = ready();
    let prune = [
        hold(&bench, "lock", FlockOperation::LockExclusive),
        hold(&bench, "lock.readers", FlockOperation::LockExclusive),
    ];
    let own = std::process::id().to_string();
    let mut waiting = vec![
        Running::start(&bench, &["receive", "REPO"]).given(&stream).waits_for(&own),
        Running::start(&bench, &["hashes", "REPO"]).waits_for(&own),
        Running::start(&bench, PRUNE).waits_for(&own),
    ];
    waiting.extend(READERS.map(|args| Running::start(&bench, args).waits_for(&own)));
    drop(prune);
    for command in waiting {
        command.ends_well();
    }
    bench.kept.push((3, device.bytes));
    bench.check_tidy();
}

#[test]
fn a_lock_of_a_process_that_was_killed_is_none() {
    let (mut bench, device, stream) = ready();
    let (mut receiver, stdin) = receive_half(&bench, &stream);
    receiver.0.kill().unwrap();
    receiver.0.wait().unwrap();
    drop(stdin);
    bench.receive(&stream, &device);
    bench.check_tidy();
}
