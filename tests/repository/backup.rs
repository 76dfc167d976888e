// SPDX-License-Identifier: GPL-3.0-or-later
//! `era backup` with a remote shell and a sender that do as they are told: what is asked for, what becomes of failures.
//! The real ones take part in tests on a real kernel.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use era::stream::Audit;

use crate::bench::{Bench, Device};
use crate::program::Run;

/// What stands for the other machine: `era send` there writes the file `stream` and does the script `after`.
pub struct Other {
    dir: tempfile::TempDir,
}

impl Other {
    pub fn new() -> Self {
        let other = Self { dir: tempfile::tempdir().unwrap() };
        // The words of the command come as one, for the shell there. Like ssh, it is one process.
        other.script("rsh", "echo \"$1\" >>hosts; shift; exec sh -c \"exec $*\"");
        other.script(
            "era",
            "echo \"$*\" >>asked; case $* in *--compare*) cat >list; . ./compare;; *) . ./send;; esac",
        );
        other.script("compare", "exit 9");
        other
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn script(&self, name: &str, text: &str) {
        let text = format!("#!/bin/sh\ncd {}\n{text}\n", self.dir.path().display());
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn sends(&self, stream: &[u8], after: &str) {
        fs::write(self.path("stream"), stream).unwrap();
        self.script("send", &format!("cat stream; {after}"));
    }

    pub fn backup(&self, bench: &Bench, options: &[&str]) -> Run {
        let (rsh, era) = (self.path("rsh"), self.path("era"));
        let mut args = vec!["backup", "--rsh", rsh.to_str().unwrap(), "--remote-era", era.to_str().unwrap()];
        args.extend(options);
        args.extend(["me@vm1:root", "REPO"]);
        bench.run(&args, b"", None)
    }

    pub fn asked(&self) -> Vec<String> {
        fs::read_to_string(self.path("asked")).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

#[track_caller]
pub fn succeeded(out: &Run) {
    assert_eq!(out.code, Some(0), "{}", out.stderr);
}

#[test]
fn everything_first_and_then_from_the_cursor() {
    let (mut bench, mut device, other) = (Bench::new(), Device::new(200_000), Other::new());
    device.write_some(20);
    other.sends(&device.full(), "");
    succeeded(&other.backup(&bench, &[]));
    bench.kept.push((1, device.bytes.clone()));
    let cursor = format!("{}:{}", device.generation, device.era);
    device.write_some(5);
    let stream = device.increment();
    other.sends(&stream, "");
    let out = other.backup(&bench, &["--json", "--compress", "none", "--consistency", "freeze"]);
    succeeded(&out);
    bench.kept.push((2, device.bytes.clone()));
    bench.check_tidy();
    assert_eq!(
        other.asked(),
        [
            "send root --no-cursor --freeze-timeout 30000ms --max-passes 10 --compress 1".to_owned(),
            format!(
                "send root --no-cursor --freeze-timeout 30000ms --max-passes 10 --consistency freeze --since {cursor} --audit"
            ),
        ]
    );
    assert_eq!(fs::read_to_string(other.path("hosts")).unwrap(), "me@vm1\nme@vm1\n");
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(json["source"], "me@vm1:root");
    assert_eq!(json["point"]["id"], 2);
    assert_eq!(json["transferred_bytes"], stream.len());
    assert_eq!(json["cursor"], format!("{}:{}", device.generation, device.era));
}

#[test]
fn when_the_cursor_is_of_no_use_only_differences_are_sent() {
    let (mut bench, mut device, other) = (Bench::new(), Device::new(200_000), Other::new());
    device.write_some(20);
    other.sends(&device.full(), "");
    succeeded(&other.backup(&bench, &[]));
    bench.kept.push((1, device.bytes.clone()));
    // Tracking began anew, and something bypassed it.
    let before = device.bytes.clone();
    device.generation = uuid::Uuid::from_u128(9);
    device.era = 1;
    device.write_some(3);
    other.sends(b"", "echo 'era: root: a full copy is needed' >&2; exit 1");
    other.script("compare", "cat difference");
    fs::write(other.path("difference"), device.difference(&bench.list(), &before)).unwrap();
    let out = other.backup(&bench, &[]);
    succeeded(&out);
    assert!(out.stderr.contains("tracking began anew"), "{}", out.stderr);
    bench.kept.push((2, device.bytes.clone()));
    bench.check_tidy();
    assert!(fs::read(other.path("list")).unwrap() == bench_list_of(&before));
    // A difference to something else is refused, whatever it holds.
    let stale = device.difference(&bench_list_of(&before), &before);
    bench.run(&["receive", "REPO"], &stale, None).expect_error("has changed since");
    bench.list();
    bench.run(&["receive", "REPO"], &stale, None).expect_error("differences to something else");
    bench.check_tidy();
}

#[test]
fn a_first_copy_that_broke_off_goes_on() {
    let (mut bench, mut device, other) = (Bench::new(), Device::new(4_000_000), Other::new());
    // Three frames and more.
    device.write_some(1200);
    let full = device.full();
    other.sends(&full[..full.len() / 2], "echo 'era: interrupted' >&2; exit 2");
    let out = other.backup(&bench, &[]);
    out.expect_error("era send on me@vm1: failed with status 2: era: interrupted");
    assert!(bench.ids().is_empty());
    let partial = fs::read(bench.file("image")).unwrap();
    assert!(partial != device.bytes);
    other.script("compare", "cat difference");
    // What the sender will be told is what is there.
    let difference = device.difference(&bench_list_of(&partial), &partial);
    assert!(difference.len() < full.len() * 3 / 4, "{} of {}", difference.len(), full.len());
    fs::write(other.path("difference"), difference).unwrap();
    succeeded(&other.backup(&bench, &[]));
    bench.kept.push((1, device.bytes.clone()));
    bench.check_tidy();
}

#[test]
fn a_list_that_is_longer_than_all_pipes() {
    let (mut bench, mut device, other) = (Bench::new(), Device::new(40 << 20), Other::new());
    device.write_some(50);
    let full = device.full();
    bench.receive(&full, &device);
    device.generation = uuid::Uuid::from_u128(9);
    let before = device.bytes.clone();
    device.write_some(3);
    other.sends(b"", "exit 1");
    // A sender that wants to be received before it reads on.
    other.script(
        "era",
        "case $* in *--compare*) head -c 64 >list; cat difference; cat >>list;; *) exit 1;; esac",
    );
    let difference = device.difference(&bench.list(), &before);
    fs::write(other.path("difference"), difference).unwrap();
    succeeded(&other.backup(&bench, &[]));
    bench.kept.push((2, device.bytes.clone()));
    bench.check_tidy();
    assert!(fs::metadata(other.path("list")).unwrap().len() > 300_000);
}

#[test]
fn a_point_that_is_suspect_is_there_and_the_run_fails() {
    let (mut bench, mut device, other) = (Bench::new(), Device::new(200_000), Other::new());
    device.write_some(20);
    let full = device.full();
    bench.receive(&full, &device);
    device.write(9, false);
    let audit = Audit { first: 0, stride: 1, checked: 40, differing: 1, units: vec![5] };
    other.sends(&device.audited_increment(&audit), "");
    let metrics = other.path("era.prom");
    let out = other.backup(&bench, &["--json", "--metrics", metrics.to_str().unwrap()]);
    assert_eq!(out.code, Some(2), "{}", out.stderr);
    let last = out.stderr.lines().last().unwrap();
    assert!(last.contains("point 2 is SUSPECT: 1 of 40 blocks"), "{last}");
    assert!(last.contains("era verify --repair") && last.contains("me@vm1:root"), "{last}");
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&json["point"]["id"], &json["suspect_points"]), (&2.into(), &1.into()));
    let metrics = fs::read_to_string(metrics).unwrap();
    for (name, value) in [("last_run_success", "0"), ("suspect", "1"), ("points", "2")] {
        let line = metrics.lines().find(|line| line.starts_with(&format!("era_backup_{name}{{"))).unwrap();
        assert!(line.ends_with(&format!("}} {value}")), "{line}");
    }
    bench.kept.push((2, device.bytes.clone()));
    bench.check_tidy();
}

#[test]
fn whoever_fails_is_named_and_nothing_is_added() {
    let (mut bench, mut device, other) = (Bench::new(), Device::new(200_000), Other::new());
    device.write_some(20);
    let full = device.full();
    bench.receive(&full, &device);
    device.write_some(8);
    let increment = device.increment();
    for len in [0, 5, 1000, increment.len() / 2, increment.len() - 1] {
        other.sends(&increment[..len], "exit 255");
        other.backup(&bench, &[]).expect_error("the connection broke");
        other.sends(&increment[..len], "kill -KILL $$");
        other.backup(&bench, &[]).expect_error("era send on me@vm1: ");
        // Ended in order, it says; the receiver knows better.
        other.sends(&increment[..len], "");
        other.backup(&bench, &[]).expect_error("era receive on this machine: failed with status 2:");
    }
    let mut damaged = increment.clone();
    damaged[700] ^= 1;
    other.sends(&damaged, "");
    other.backup(&bench, &[]).expect_error("the stream was damaged");
    bench.check_tidy();
    let missing = bench.run(&["backup", "--rsh", "/nothing/ssh", "vm1:root", "REPO"], b"", None);
    missing.expect_error("cannot start /nothing/ssh");
    // And it goes on.
    other.sends(&increment, "");
    succeeded(&other.backup(&bench, &[]));
    bench.kept.push((2, device.bytes.clone()));
    bench.check_tidy();
}

#[test]
fn places_that_cannot_be() {
    let bench = Bench::new();
    let refused = |args: &[&str], says: &str| bench.run(args, b"", None).expect_error(says);
    refused(&["backup", "a:root", "b:/srv"], "both on other machines");
    refused(&["backup", "-oProxyCommand=touch x:root", "REPO"], "");
    refused(&["backup", "--", "-oProxyCommand=x:root", "REPO"], "begins with '-'");
    refused(&["backup", "root", "vm1:"], "names no directory");
    assert!(!bench.path().exists());
}

/// The list of hashes of a device in units of its blocks.
fn bench_list_of(bytes: &[u8]) -> Vec<u8> {
    Device::new(0).list_of(bytes)
}
