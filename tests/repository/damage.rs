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

#[test]
fn a_full_stream_that_leaves_something_out() {
    let (bench, mut device) = (Bench::new(), Device::new(40_960));
    device.write(3, false);
    let increment = device.increment();
    // Of the kind, only the header says so: offset 32 of the first record's payload, behind magic and head.
    let mut stream = increment;
    stream[8 + 32 + 52] = 1;
    let payload_crc = crc32c::crc32c(&stream[40..112]).to_le_bytes();
    stream[8 + 24..8 + 28].copy_from_slice(&payload_crc);
    let head_crc = crc32c::crc32c(&stream[8..36]).to_le_bytes();
    stream[36..40].copy_from_slice(&head_crc);
    // The trailer's hash does not match any more, which is found first.
    bench.run(&["receive", "REPO"], &stream, None).expect_error("hash over all records");
    assert!(bench.ids().is_empty());
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
fn a_journal_that_is_damaged_is_not_taken_for_one_that_was_torn() {
    let (bench, _, stream) = ready();
    // Killed when all is overwritten, and before the manifest says so.
    let crashed = (1..)
        .map(|step| {
            let crashed = bench.copy();
            crashed.run(&["receive", "REPO"], &stream, Some(step));
            crashed
        })
        .find(|crashed| crashed.file("manifest.json.new").exists())
        .unwrap();
    assert!(fs::read(crashed.file("image")).unwrap() != bench.kept[0].1);
    let journal = crashed.file("undo/1-2");
    let bytes = fs::read(&journal).unwrap();
    for at in (0..bytes.len() - 104).step_by(211) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        fs::write(&journal, &damaged).unwrap();
        let out = crashed.run(&["prune", "--keep-last", "9", "REPO"], b"", None);
        out.expect_error("undo/1-2: ");
        assert!(journal.exists(), "byte {at}: the journal is gone");
    }
    fs::write(&journal, &bytes).unwrap();
    let out = crashed.run(&["prune", "--keep-last", "9", "REPO"], b"", None);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    crashed.check_tidy();
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
