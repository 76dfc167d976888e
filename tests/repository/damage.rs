// SPDX-License-Identifier: GPL-3.0-or-later
//! Streams that are cut off or damaged leave a repository as it was; damage in a repository is found and named, and never
//! restored.

use std::fs;

use crate::bench::{BLOCK, Bench, Device};

fn ready() -> (Bench, Device, Vec<u8>) {
    let (mut bench, mut device) = (Bench::new(), Device::new(150_000));
    device.write_some(20);
    let full = device.full();
    bench.receive(&full, &device);
    device.write_some(6);
    let stream = device.increment();
    (bench, device, stream)
}

#[test]
fn streams_that_are_cut_off() {
    let (mut bench, device, stream) = ready();
    for len in (0..stream.len()).step_by(997).chain([stream.len() - 1]) {
        let out = bench.run(&["receive", "REPO"], &stream[..len], None);
        out.expect_error("");
        assert_eq!(bench.ids(), [1]);
    }
    bench.check_tidy();
    bench.receive(&stream, &device);
    bench.check_tidy();
}

#[test]
fn streams_that_are_cut_off_between_two_records() {
    let (mut bench, mut device) = (Bench::new(), Device::new(5_000_000));
    device.write_some(30);
    let full = device.full();
    bench.receive(&full, &device);
    device.write_some(2000);
    let stream = device.increment();
    let mut ends = vec![8];
    while *ends.last().unwrap() < stream.len() {
        let head = *ends.last().unwrap();
        let stored = u32::from_le_bytes(stream[head + 16..head + 20].try_into().unwrap());
        ends.push(head + 32 + stored as usize);
    }
    assert!(ends.pop() == Some(stream.len()) && ends.len() > 4, "{} records", ends.len());
    for end in ends {
        for len in [end, end + 1, end + 32] {
            bench.run(&["receive", "REPO"], &stream[..len], None).expect_error("");
            assert_eq!(bench.ids(), [1]);
        }
    }
    bench.check_tidy();
    bench.receive(&stream, &device);
    bench.check_tidy();
}

#[test]
fn streams_with_a_flipped_bit() {
    let (mut bench, device, stream) = ready();
    for at in (0..stream.len()).step_by(1009).chain(stream.len() - 105..stream.len()) {
        let mut damaged = stream.clone();
        damaged[at] ^= 1 << (at % 8);
        bench.run(&["receive", "REPO"], &damaged, None).expect_error("");
    }
    bench.check_tidy();
    let trailing = [stream.as_slice(), b"x"].concat();
    bench.run(&["receive", "REPO"], &trailing, None).expect_error("after the end of the stream");
    bench.check_tidy();
    bench.receive(&stream, &device);
    bench.check_tidy();
}

// One range is a list of one.
#[allow(clippy::single_range_in_vec_init)]
#[test]
fn a_full_stream_that_leaves_something_out() {
    let (mut bench, mut device) = (Bench::new(), Device::new(40_960));
    device.write(3, false);
    let holes: [&[_]; 5] = [
        &[],
        &[0..40_959],
        &[512..40_960],
        // Of a block, only a part.
        &[0..12_288, 12_800..40_960],
        // What comes later comes after everything.
        &[4096..40_960, 0..4096],
    ];
    for ranges in holes {
        let stream = device.full_of(ranges);
        bench.run(&["receive", "REPO"], &stream, None).expect_error("leaves byte ");
        assert!(bench.ids().is_empty(), "{ranges:?}");
    }
    let stream = device.full_of(&[0..20_000, 20_000..40_960, 100..5000]);
    bench.receive(&stream, &device);
    // Into a repository that has everything already, too.
    for ranges in holes {
        let stream = device.full_of(ranges);
        bench.run(&["receive", "REPO"], &stream, None).expect_error("leaves byte ");
    }
    bench.check_tidy();
}

/// Of five points two, the third and the fourth, are of one day: with one for each day, the third goes.
const FIVE_DAYS: [&str; 5] = [
    "2026-01-01T00:00:00Z",
    "2026-01-02T00:00:00Z",
    "2026-01-04T00:00:00Z",
    "2026-01-04T00:00:00Z",
    "2026-01-05T00:00:00Z",
];

fn five_points() -> (Bench, Device) {
    let (mut bench, mut device) = (Bench::new(), Device::new(200_000));
    for point in 0..5 {
        for block in point * 3..point * 3 + 6 {
            device.write(block, false);
        }
        let stream = if point == 0 { device.full() } else { device.increment() };
        bench.receive(&stream, &device);
    }
    bench.set_times(&FIVE_DAYS);
    (bench, device)
}

#[test]
fn points_go_although_one_is_damaged() {
    // What leads back to 2 is made of 2-3, which is damaged, and 3-4.
    let (bench, _) = five_points();
    let path = bench.file("undo/2-3");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let out = bench.run(&["prune", "--keep-daily", "9", "REPO"], b"", None);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    assert!(out.stderr.contains("of the device at point 2 stay damaged"), "{}", out.stderr);
    assert_eq!(bench.ids(), [1, 2, 4, 5]);
    // It is still known, of both points that need it, and the others are what they were.
    let out = bench.run(&["verify", "REPO"], b"", None);
    assert_eq!(out.code, Some(1));
    let found = String::from_utf8(out.stdout).unwrap();
    assert!(!found.is_empty() && found.lines().all(|line| line.contains("undo/2-4: point 2: ")), "{found}");
    bench.run(&["restore", "--force", "REPO@2", "restored"], b"", None).expect_error("is damaged");
    for (id, expected) in bench.kept.iter().filter(|(id, _)| *id > 3) {
        assert!(bench.restored(&id.to_string()) == *expected, "{id}");
    }
}

#[test]
fn every_flipped_byte_is_found_and_named() {
    let (mut bench, device, stream) = ready();
    bench.receive(&stream, &device);
    let files = ["image", "hashes", "undo/1-2", "undo/1-2.index"];
    for (file, at) in files.iter().flat_map(|file| (0..40).map(move |at| (file, at))) {
        let damaged = bench.copy();
        let path = damaged.file(file);
        let mut bytes = fs::read(&path).unwrap();
        let at = at * bytes.len() / 40;
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let out = damaged.run(&["verify", "REPO"], b"", None);
        assert_eq!(out.code, Some(1), "{file}, byte {at}: {}", out.stderr);
        let said = String::from_utf8(out.stdout).unwrap();
        let named = match *file {
            "image" => format!("bytes {} to", at as u64 / BLOCK * BLOCK),
            "hashes" => format!("bytes {} to", at as u64 / 32 * BLOCK),
            _ => "undo/1-2".into(),
        };
        assert!(said.contains(&named), "{file}, byte {at}: {named} is not in {said}");
    }
}

#[test]
fn what_is_damaged_is_not_restored() {
    let (mut bench, device, stream) = ready();
    bench.receive(&stream, &device);
    let block = device.bytes.chunks(BLOCK as usize).position(|block| block.iter().any(|&b| b != 0)).unwrap();
    let mut bytes = fs::read(bench.file("image")).unwrap();
    bytes[block * BLOCK as usize + 5] ^= 1;
    fs::write(bench.file("image"), &bytes).unwrap();
    let out = bench.run(&["restore", "REPO", "restored"], b"", None);
    out.expect_error("the repository is damaged");
    // What is damaged stays known as that when it moves into an undo stream.
    let mut device = device;
    device.write(block as u64, false);
    let increment = device.increment();
    bench.receive(&increment, &device);
    bench
        .run(&["restore", "REPO@2", "restored", "--force"], b"", None)
        .expect_error("the repository is damaged");
    assert!(bench.restored("3") == device.bytes);
}

#[test]
fn a_full_disk() {
    let (mut bench, device, stream) = ready();
    let era = env!("CARGO_BIN_EXE_era");
    for limit in [1, 4, 8, 16] {
        // In units of 1 KiB; writing beyond is an error, not a signal.
        let script = format!("ulimit -f {limit}; trap '' XFSZ; exec {era} receive \"$1\"");
        let mut command = std::process::Command::new("bash");
        command.args(["-c", &script, "bash", bench.path().to_str().unwrap()]);
        let out = crate::program::run_command(command, &stream);
        if out.code == Some(0) {
            panic!("a limit of {limit} KiB is no limit");
        }
        assert_eq!(out.code, Some(2), "{}", out.stderr);
        assert!(out.stderr.contains("cannot") && out.stderr.contains("large"), "{}", out.stderr);
    }
    bench.check();
    bench.receive(&stream, &device);
    bench.check_tidy();
}

#[test]
fn points_go_although_an_undo_stream_was_cut_short() {
    let (bench, _) = five_points();
    let path = bench.file("undo/2-3");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let out = bench.run(&["prune", "--keep-daily", "9", "REPO"], b"", None);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    assert!(out.stderr.contains("at point 2 stay damaged"), "{}", out.stderr);
    assert_eq!(bench.ids(), [1, 2, 4, 5]);
    for (id, expected) in bench.kept.iter().filter(|(id, _)| *id > 3) {
        assert!(bench.restored(&id.to_string()) == *expected, "{id}");
    }
}

#[test]
fn a_point_whose_stream_cannot_be_made_anew_stays_for_now() {
    let (mut bench, mut device) = five_points();
    let path = bench.file("undo/2-3.index");
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, bytes).unwrap();
    let out = bench.run(&["prune", "--keep-daily", "9", "REPO"], b"", None);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    assert!(out.stderr.contains("point 3 stays: "), "{}", out.stderr);
    assert_eq!(bench.ids(), [1, 2, 3, 4, 5]);
    assert!(!bench.file("undo/2-4").exists() && !bench.file("undo/2-4.index").exists());
    // It goes when it is the oldest.
    device.write(1, false);
    let increment = device.increment();
    bench.receive(&increment, &device);
    let out = bench.run(&["prune", "--keep-last", "2", "REPO"], b"", None);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    bench.kept.drain(..4);
    bench.kept[1].0 = 6;
    bench.check_tidy();
}

/// A repository that was left when all was overwritten, and before the manifest says so; and its journal.
fn broken_off() -> (Bench, Device, Vec<u8>) {
    let (bench, device, stream) = ready();
    let crashed = bench.broken_off(&stream);
    assert!(fs::read(crashed.file("image")).unwrap() != bench.kept[0].1);
    let journal = fs::read(crashed.file("undo/1-2")).unwrap();
    (crashed, device, journal)
}

#[test]
fn a_journal_that_is_damaged_is_not_taken_for_one_that_was_torn() {
    let (crashed, _, bytes) = broken_off();
    let mut lost = 0;
    for at in (0..bytes.len() - 104).step_by(211) {
        let damaged_copy = crashed.copy();
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        fs::write(damaged_copy.file("undo/1-2"), &damaged).unwrap();
        let out = damaged_copy.run(&["prune", "--keep-last", "9", "REPO"], b"", None);
        assert_eq!(out.code, Some(0), "byte {at}: {}", out.stderr);
        // Either all is what it was, or what is not is known.
        let found = damaged_copy.run(&["verify", "REPO"], b"", None);
        if found.code == Some(0) {
            damaged_copy.check_tidy();
            continue;
        }
        lost += 1;
        assert!(out.stderr.contains("undo/1-2: is damaged: "), "byte {at}: {}", out.stderr);
        assert_eq!(found.code, Some(1), "byte {at}: {}", found.stderr);
        damaged_copy
            .run(&["restore", "REPO", "restored", "--force"], b"", None)
            .expect_error("the repository is damaged");
        // What was not damaged is there.
        let (image, expected) = (fs::read(damaged_copy.file("image")).unwrap(), &crashed.kept[0].1);
        assert_eq!(image.len(), expected.len());
    }
    assert!(lost > 3, "{lost}");
    fs::write(crashed.file("undo/1-2"), &bytes).unwrap();
    let out = crashed.run(&["prune", "--keep-last", "9", "REPO"], b"", None);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    crashed.check_tidy();
}

#[test]
fn what_a_damaged_journal_has_lost_comes_back_from_the_device() {
    let (mut crashed, mut device, mut bytes) = broken_off();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(crashed.file("undo/1-2"), &bytes).unwrap();
    let out = crashed.run(&["hashes", "--reread", "REPO"], b"", None);
    assert_eq!(out.code, Some(1), "{}", out.stderr);
    let stream = device.difference_to(&out.stdout);
    let out = crashed.run(&["receive", "REPO"], &stream, None);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    assert!(crashed.restored("latest") == device.bytes);
    device.write(2, false);
    let increment = device.increment();
    crashed.kept.clear();
    crashed.receive(&increment, &device);
    assert!(crashed.restored("latest") == device.bytes);
}

#[test]
fn a_journal_that_was_only_begun() {
    for len in [0, 4, 8, 50, 112] {
        let (mut bench, device, stream) = ready();
        let done = bench.copy();
        done.run(&["receive", "REPO"], &stream, None);
        let whole = fs::read(done.file("undo/1-2")).unwrap();
        fs::write(bench.file("undo/1-2"), &whole[..len]).unwrap();
        bench.receive(&stream, &device);
        bench.check_tidy();
    }
}
