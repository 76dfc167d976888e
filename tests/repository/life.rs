// SPDX-License-Identifier: GPL-3.0-or-later
//! A repository over many points: all of them stay what they were, also while others go.

use std::os::unix::fs::MetadataExt;

use crate::bench::{Bench, Device};

#[test]
fn every_point_stays_what_it_was() {
    let (mut bench, mut device) = (Bench::new(), Device::new(300_000));
    device.write_some(40);
    let full = device.full();
    bench.receive(&full, &device);
    for round in 0..12 {
        device.write_some(round);
        let increment = device.increment();
        bench.receive(&increment, &device);
    }
    bench.check_tidy();
    assert!(bench.restored("latest") == device.bytes);
    assert!(bench.restored("latest~12") == bench.kept[0].1);
    // The fourth, by its time.
    assert!(bench.restored("2026-01-01T00:00:05.5Z") == bench.kept[3].1);
}

#[test]
fn a_full_copy_again_keeps_only_what_is_different() {
    let (mut bench, mut device) = (Bench::new(), Device::new(1 << 20));
    device.write_some(100);
    let full = device.full();
    bench.receive(&full, &device);
    device.write(7, false);
    // Tracking began anew.
    device.generation = uuid::Uuid::from_u128(77);
    let full = device.full();
    bench.receive(&full, &device);
    bench.check_tidy();
    let out = bench.run(&["points", "--json", "REPO"], b"", None);
    let json: serde_json::Value = serde_json::from_str(out.text()).unwrap();
    assert_eq!(json["points"][1]["changed_bytes"], 4096);
    assert_eq!(json["points"][1]["kind"], "full");
    assert_eq!(json["points"][1]["consistency"], "snapshot");
    assert_eq!(json["cursor"], format!("{}:{}", device.generation, device.era));
    assert_eq!(json["device"], device.id.to_string());
    let held = json["points"][0]["held_bytes"].as_u64().unwrap();
    assert!((1..20_000).contains(&held), "{held}");
}

#[test]
fn zeros_are_holes() {
    let (mut bench, mut device) = (Bench::new(), Device::new(8 << 20));
    device.write(3, false);
    let full = device.full();
    bench.receive(&full, &device);
    let size = || std::fs::metadata(bench.file("image")).unwrap();
    assert_eq!(size().len(), 8 << 20);
    assert!(size().blocks() * 512 <= 64 << 10, "{} blocks", size().blocks());
}

#[test]
fn points_go_and_the_others_stay() {
    let (mut bench, mut device) = (Bench::new(), Device::new(300_000));
    device.write_some(40);
    let full = device.full();
    bench.receive(&full, &device);
    for round in 0..7 {
        // Sizes change, too.
        device.resize([300_000, 305_000, 390_000, 200_000, 300_000, 300_001, 308_192][round]);
        device.write_some(12);
        let stream = if round == 3 { device.full() } else { device.increment() };
        bench.receive(&stream, &device);
    }
    bench.check_tidy();
    let out = bench.run(&["prune", "--dry-run", "--keep-last", "2", "REPO"], b"", None);
    assert_eq!(out.stdout.iter().filter(|&&byte| byte == b'\n').count(), 6);
    bench.check_tidy();
    // All of one day, so the last one is kept; the points before are named by their numbers.
    for keep in [5, 3, 1] {
        let mut pruned = bench.copy();
        let out = pruned.run(&["prune", "--keep-last", &keep.to_string(), "REPO"], b"", None);
        assert_eq!(out.code, Some(0), "{}", out.stderr);
        pruned.kept.drain(..8 - keep);
        pruned.check_tidy();
    }
}

#[test]
fn points_in_the_middle_go() {
    // Two points on each of four days.
    let (mut bench, mut device) = (Bench::new(), Device::new(200_000));
    for point in 0..8 {
        device.write_some(10);
        if point == 5 {
            device.resize(150_000);
        }
        let stream = if point == 0 { device.full() } else { device.increment() };
        bench.receive(&stream, &device);
    }
    let times: Vec<String> =
        (0..8).map(|at| format!("2026-01-{:02}T{:02}:00:00Z", at / 2 + 1, 10 + at % 2)).collect();
    bench.set_times(&times.iter().map(String::as_str).collect::<Vec<_>>());
    // All that the points of a week and of a month are would be kept, or those of the last day.
    let rules =
        ["prune", "REPO", "--dry-run", "--keep-daily", "7", "--keep-weekly", "4", "--keep-monthly", "12"];
    for (arguments, go) in [(&rules[..], 4), (&["prune", "REPO", "--keep-within", "12h", "--dry-run"], 6)] {
        let out = bench.run(arguments, b"", None);
        assert_eq!(out.code, Some(0), "{}", out.stderr);
        assert_eq!(out.stdout.iter().filter(|&&byte| byte == b'\n').count(), go, "{arguments:?}");
    }
    let out = bench.run(&["prune", "--keep-daily", "9", "REPO"], b"", None);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    bench.kept = bench.kept.iter().skip(1).step_by(2).cloned().collect();
    bench.check_tidy();
    // And it goes on.
    device.write_some(5);
    let increment = device.increment();
    let out = bench.run(&["receive", "REPO"], &increment, None);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    bench.kept.push((9, device.bytes.clone()));
    bench.check_tidy();
}

#[test]
fn points_come_back_without_the_repository() {
    let (mut bench, mut device) = (Bench::new(), Device::new(200_000));
    device.write_some(20);
    let full = device.full();
    bench.receive(&full, &device);
    for _ in 0..3 {
        device.write_some(6);
        let increment = device.increment();
        bench.receive(&increment, &device);
    }
    // As docs/repository.md says: a copy of the image, and the undo streams from the last one back.
    let copy = bench.path().join("../copy");
    std::fs::copy(bench.file("image"), &copy).unwrap();
    for (undo, point) in [("undo/3-4", 2), ("undo/2-3", 1), ("undo/1-2", 0)] {
        let stream = std::fs::read(bench.file(undo)).unwrap();
        let out = crate::program::run("era_apply", &[copy.to_str().unwrap()], &stream);
        assert_eq!(out.code, Some(0), "{}", out.stderr);
        assert!(std::fs::read(&copy).unwrap() == bench.kept[point].1, "{undo}");
    }
}
