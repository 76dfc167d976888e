// SPDX-License-Identifier: GPL-3.0-or-later
//! The program is killed at every change that it makes to a repository, once each: what was kept is still there, and the next
//! run succeeds.

use std::fs;

use crate::bench::{Bench, Device};

/// A small repository of three points, and a device that is ready for the fourth.
fn ready() -> (Bench, Device) {
    let (mut bench, mut device) = (Bench::new(), Device::new(150_000));
    device.write_some(20);
    for _ in 0..3 {
        let stream = if bench.kept.is_empty() { device.full() } else { device.increment() };
        bench.receive(&stream, &device);
        device.write_some(4);
    }
    (bench, device)
}

/// Kills a command at every step until it gets through. Says how many steps there were.
fn at_every_step(
    before: &Bench,
    args: &[&str],
    stdin: &[u8],
    mut check: impl FnMut(Bench, u64),
    done: impl FnOnce(&Bench),
) -> u64 {
    for step in 1.. {
        let bench = before.copy();
        let out = bench.run(args, stdin, Some(step));
        if out.signal != Some(9) {
            assert_eq!(out.code, Some(0), "{}", out.stderr);
            done(&bench);
            return step - 1;
        }
        check(bench, step);
    }
    unreachable!()
}

/// What there is after a crash: the old points, or those and the new one; and it goes on from there.
fn check_and_go_on(mut bench: Bench, stream: &[u8], device: &Device, step: u64) {
    let old = bench.kept.len();
    // Before anything is repaired, as whoever reads must not need the right to write.
    let ids = bench.ids();
    for (id, bytes) in &bench.kept {
        assert!(bench.restored(&id.to_string()) == *bytes, "point {id} after a crash at step {step}");
    }
    let next = bench.kept.last().map_or(1, |(id, _)| id + 1);
    match ids.len() - old {
        0 => bench.receive(stream, device),
        1 => {
            assert_eq!(ids[old], next);
            bench.kept.push((next, device.bytes.clone()));
            // Some command brings it in order.
            let out = bench.run(&["prune", "--keep-last", "99", "REPO"], b"", None);
            assert_eq!(out.code, Some(0), "{}", out.stderr);
        }
        n => panic!("{n} new points after a crash at step {step}"),
    }
    bench.check_tidy();
}

#[test]
fn while_an_increment_is_received() {
    let (bench, mut device) = ready();
    let stream = device.increment();
    let check = |bench, step| check_and_go_on(bench, &stream, &device, step);
    let steps = at_every_step(&bench, &["receive", "REPO"], &stream, check, |bench| {
        assert!(fs::read(bench.file("image")).unwrap() == device.bytes);
    });
    assert!(steps > 15, "{steps} steps");
}

#[test]
fn while_the_size_changes() {
    for len in [200_000, 100_000] {
        let (bench, mut device) = ready();
        device.resize(len);
        device.write_some(3);
        let stream = device.increment();
        let check = |bench, step| check_and_go_on(bench, &stream, &device, step);
        at_every_step(&bench, &["receive", "REPO"], &stream, check, |_| ());
    }
}

#[test]
fn while_the_first_copy_is_received() {
    let mut device = Device::new(150_000);
    device.write_some(20);
    let stream = device.full();
    let check = |bench, step| check_and_go_on(bench, &stream, &device, step);
    at_every_step(&Bench::new(), &["receive", "REPO"], &stream, check, |_| ());
}

#[test]
fn while_the_previous_crash_is_undone() {
    let (bench, mut device) = ready();
    let stream = device.increment();
    // Crashes that leave different things: nothing overwritten, some, all, the manifest ready.
    for first in [6, 9, 12, 15, 18, 21, 24] {
        let crashed = bench.copy();
        if crashed.run(&["receive", "REPO"], &stream, Some(first)).signal.is_none() {
            break;
        }
        let check = |bench, step| check_and_go_on(bench, &stream, &device, step);
        at_every_step(&crashed, &["prune", "--keep-last", "99", "REPO"], b"", check, |_| ());
    }
}

#[test]
fn while_points_are_taken_away() {
    let (mut bench, mut device) = ready();
    for _ in 0..2 {
        let stream = device.increment();
        bench.receive(&stream, &device);
        device.write_some(4);
    }
    // All but the first and the last go: two days.
    bench.set_times(&["2025-12-31T00:00:00Z"]);
    let args = ["prune", "--keep-daily", "2", "REPO"];
    let check = |mut bench: Bench, step: u64| {
        let ids = bench.ids();
        assert!(ids.contains(&1) && ids.contains(&5), "{ids:?} after a crash at step {step}");
        bench.kept.retain(|(id, _)| ids.contains(id));
        bench.check();
        let out = bench.run(&args, b"", None);
        assert_eq!(out.code, Some(0), "{}", out.stderr);
        bench.kept.retain(|(id, _)| [1, 5].contains(id));
        bench.check_tidy();
    };
    at_every_step(&bench, &args, b"", check, |bench| assert_eq!(bench.ids(), [1, 5]));
}
