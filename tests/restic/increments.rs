// SPDX-License-Identifier: GPL-3.0-or-later
//! What a backup reads and adds is what changed, and what is in the repository is the device.

use crate::bench::Bench;
use crate::device::{Device, MIB, Part};

#[test]
fn only_changed_segments_are_read() {
    let (bench, mut device) = (Bench::new(), Device::new(300 * MIB + 12_288));
    for segment in (0..300).step_by(3) {
        device.fill(segment, segment + 1);
    }
    device.write(300 * MIB + 4096, 9);
    let added = bench.receive(&device.full());
    assert_eq!((added.segments, added.opened), (301, 101));
    bench.check(&device);
    let before = bench.size();
    // Nothing at all.
    let added = bench.receive(&device.increment());
    assert_eq!((added.segments, added.opened), (0, 0));
    bench.check(&device);
    assert!(bench.size() - before < 8192, "{} bytes for nothing", bench.size() - before);
    // Two segments of one folder, one elsewhere, and the last one, which is not whole.
    let before = bench.size();
    for (offset, seed) in [(3 * MIB, 71), (4 * MIB + 8192, 72), (200 * MIB, 73), (300 * MIB, 74)] {
        device.write(offset, seed);
    }
    let added = bench.receive(&device.increment());
    assert_eq!((added.segments, added.opened), (4, 4));
    bench.check(&device);
    // Four chunks of half a megabyte at most, of which three are mostly zeros, and their folders.
    assert!(bench.size() - before < MIB, "{} bytes", bench.size() - before);
    assert_eq!(bench.snapshots(), 3);
}

#[test]
fn zeros_over_data_are_zeros_again() {
    let (bench, mut device) = (Bench::new(), Device::new(130 * MIB));
    device.fill(5, 1);
    device.fill(70, 2);
    bench.receive(&device.full());
    let with_data = device.image();
    for at in (0..MIB).step_by(4096) {
        device.write(5 * MIB + at, 0);
    }
    bench.receive(&device.increment());
    bench.check(&device);
    let first = bench.output(&["snapshots", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&first).unwrap();
    assert!(bench.dumped(list[0]["short_id"].as_str().unwrap()) == with_data);
}

#[test]
fn passes_end_with_what_the_last_one_has() {
    let (bench, mut device) = (Bench::new(), Device::new(200 * MIB));
    device.fill(0, 1);
    device.fill(130, 2);
    bench.receive(&device.full());
    device.write(MIB, 3);
    device.write(130 * MIB, 4);
    let first = device.changes();
    device.write(MIB + 4096, 5);
    device.write(64 * MIB, 6);
    let (second, third) = (device.changes(), vec![crate::device::Part::Data(1)]);
    let since = device.era;
    let stream = device.stream(2, since, &[first, second, third]);
    bench.receive(&stream);
    bench.check(&device);
    assert_eq!(bench.snapshots(), 2, "a pass must not be seen");
    // The next one begins from it.
    device.write(65 * MIB, 7);
    let added = bench.receive(&device.increment());
    assert_eq!((added.segments, added.opened), (1, 1));
    bench.check(&device);
}

#[test]
fn a_repository_of_restic_does_as_well() {
    let (bench, mut device) = (Bench::new(), Device::new(100 * MIB));
    bench.output(&["init"]);
    for segment in [0, 1, 2, 50, 99] {
        device.fill(segment, segment + 1);
    }
    bench.receive(&device.full());
    bench.check(&device);
    device.write(50 * MIB + 500_000, 8);
    let added = bench.receive(&device.increment());
    assert_eq!((added.segments, added.opened), (1, 1));
    bench.check(&device);
}

#[test]
fn a_clock_that_stands_still_hides_nothing() {
    let (bench, mut device) = (Bench::new(), Device::new(3 * MIB));
    device.fill(1, 1);
    bench.receive(&device.full());
    for seed in 2..5 {
        device.time -= 3600;
        device.write(MIB, seed);
        let added = bench.receive(&device.increment());
        assert_eq!((added.segments, added.opened), (1, 1));
    }
    bench.check_only();
    let list: serde_json::Value = serde_json::from_slice(&bench.output(&["snapshots", "--json"])).unwrap();
    let images: Vec<_> =
        list.as_array().unwrap().iter().map(|one| bench.dumped(one["short_id"].as_str().unwrap())).collect();
    assert!(images.contains(&device.image()));
    assert!((0..4).all(|i| (0..i).all(|j| images[i] != images[j])));
}

#[test]
fn what_restic_does_to_snapshots_keeps_them_parents() {
    let (bench, mut device) = (Bench::new(), Device::new(70 * MIB));
    device.fill(1, 1);
    bench.receive(&device.full());
    device.write(MIB, 2);
    bench.receive(&device.increment());
    bench.output(&["tag", "--add", "nightly", "latest"]);
    bench.output(&["forget", "--keep-last", "1", "--group-by", "paths", "--prune"]);
    assert_eq!(bench.snapshots(), 1);
    // To another repository and from there on.
    let other = Bench::new();
    let from = bench.repository();
    other.output(&["init"]);
    other.output(&["copy", "--from-repo", from.to_str().unwrap()]);
    device.write(2 * MIB, 3);
    let stream = device.increment();
    for bench in [&bench, &other] {
        let added = bench.receive(&stream);
        assert_eq!((added.segments, added.opened), (1, 1));
        bench.check(&device);
    }
}

#[test]
fn a_stream_that_is_older_than_its_parent_is_refused() {
    let (bench, mut device) = (Bench::new(), Device::new(130 * MIB));
    device.fill(5, 1);
    bench.receive(&device.full());
    device.write(5 * MIB, 2);
    let first = device.increment();
    device.write(70 * MIB, 3);
    let second = device.increment();
    bench.receive(&first);
    bench.receive(&second);
    let again = bench.try_receive(&first);
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("the stream is older than what the repository has"), "{}", again.stderr);
    assert_eq!(bench.snapshots(), 3);
    bench.check(&device);
}

#[test]
fn everything_is_everything() {
    let (bench, mut device) = (Bench::new(), Device::new(130 * MIB));
    device.fill(5, 1);
    let (parts, rest) = (Part::Zeros(0, 5 * MIB), Part::Zeros(6 * MIB, 130 * MIB));
    for passes in [
        &[vec![parts, Part::Data(5)]][..],
        &[vec![parts, rest]],
        &[vec![parts, Part::Data(5)], vec![Part::Data(5)]],
    ] {
        let run = bench.try_receive(&device.stream(1, 0, passes));
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains("says that it has everything"), "{}", run.stderr);
    }
    assert_eq!(bench.snapshots(), 0);
    bench.receive(&device.full());
    bench.check(&device);
}
