// SPDX-License-Identifier: GPL-3.0-or-later
//! `era_apply`: both versions from a pipe, onto files; what is refused leaves the destination alone.

#[path = "common/program.rs"]
mod program;
#[path = "common/stream_builder.rs"]
mod stream_builder;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

use program::{Run, command, data, noise, run};
use rustix::process::{Pid, Signal, kill_process};
use stream_builder::{DEVICE_BYTES, Record, ZEROS, finished, frame, header, sound, stream};
use tempfile::TempDir;

const NO_END: &str = "no end marker";

/// A place for a destination, with or without old content.
struct Destination {
    _dir: TempDir,
    path: PathBuf,
}

impl Destination {
    fn missing() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        Self { _dir: dir, path }
    }

    fn holding(content: &[u8]) -> Self {
        let destination = Self::missing();
        fs::write(&destination.path, content).unwrap();
        destination
    }

    fn apply(&self, options: &[&str], stream: &[u8]) -> Run {
        run("era_apply", &[options, &[self.path.to_str().unwrap()]].concat(), stream)
    }

    fn content(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }
}

/// A version 1 record.
fn record(offset: i64, len: i64, data: &[u8]) -> Vec<u8> {
    [b"ERARANGE", &offset.to_le_bytes()[..], &len.to_le_bytes(), data].concat()
}

fn end_marker() -> Vec<u8> {
    record(0, 0, b"")
}

fn classic_image() -> Vec<u8> {
    [&[0; 4096][..], &[b'A'; 4096], &[0; 4096], &[b'B'; 1000]].concat()
}

#[test]
fn a_classic_stream_is_applied_with_a_warning() {
    let destination = Destination::missing();
    let out = destination.apply(&[], &data("classic.era"));
    assert_eq!(out.code, Some(0));
    assert!(out.stderr.starts_with("era_apply: warning: ") && out.stderr.contains(NO_END), "{}", out.stderr);
    assert!(destination.content() == classic_image());
}

#[test]
fn a_classic_stream_is_refused_where_an_end_is_required() {
    Destination::missing().apply(&["--require-end"], &data("classic.era")).expect_error(NO_END);
    let marked = [data("classic.era"), end_marker()].concat();
    let destination = Destination::missing();
    destination.apply(&["--require-end"], &marked).expect_quiet_success();
    assert!(destination.content() == classic_image());
}

#[test]
fn an_empty_input_is_a_stream_without_an_end() {
    let destination = Destination::holding(b"old");
    let out = destination.apply(&[], b"");
    assert_eq!(out.code, Some(0));
    assert!(out.stderr.contains("warning: the stream is empty"), "{}", out.stderr);
    destination.apply(&["--require-end"], b"").expect_error("the stream is empty");
    assert_eq!(destination.content(), b"old");
}

#[test]
fn streams_one_after_another_are_one_stream() {
    let first = [record(0, 4, b"abcd"), end_marker()].concat();
    let second = record(2, 4, b"wxyz");
    let destination = Destination::missing();
    // The last marker counts.
    destination.apply(&["--require-end"], &[first.clone(), second.clone()].concat()).expect_error(NO_END);
    destination.apply(&["--require-end"], &[second, first].concat()).expect_quiet_success();
    assert_eq!(destination.content(), b"abcdyz");
}

#[test]
fn records_without_data_mean_nothing_wherever_they_point() {
    let stream = [record(1 << 40, 0, b""), record(1, 1, b"x"), end_marker()].concat();
    let destination = Destination::missing();
    destination.apply(&["--require-end"], &stream).expect_quiet_success();
    assert_eq!(destination.content(), b"\0x");
}

#[test]
fn a_pipe_may_split_a_stream_anywhere() {
    let v1 = [record(3, 5, b"abcde"), record(20, 2, b"yz"), end_marker()].concat();
    for stream in [v1, stream(&sound())] {
        let whole = Destination::missing();
        whole.apply(&["--require-end"], &stream).expect_quiet_success();
        let split = Destination::missing();
        let mut child =
            command("era_apply", &["--require-end", split.path.to_str().unwrap()]).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        for byte in &stream {
            stdin.write_all(std::slice::from_ref(byte)).unwrap();
        }
        drop(stdin);
        Run::from(child.wait_with_output().unwrap()).expect_quiet_success();
        assert!(split.content() == whole.content());
    }
}

#[test]
fn impossible_ranges_are_refused_and_nothing_is_written() {
    let content = noise(5000);
    for (offset, len) in [(-1, 4), (0, -4), (i64::MIN, 4), (i64::MAX, 4), (4, i64::MAX), (i64::MIN, i64::MIN)]
    {
        let destination = Destination::holding(&content);
        let out = destination.apply(&[], &record(offset, len, b"data"));
        out.expect_error("negative or beyond 2^63");
        assert!(out.stderr.contains("stream, byte 0: "), "{}", out.stderr);
        assert!(destination.content() == content);
    }
}

#[test]
fn what_is_not_a_stream_is_refused_and_nothing_is_written() {
    let content = noise(5000);
    for (stream, says) in [
        (&b"E"[..], "not an era stream"),
        (b"ERARANG\0", "not an era stream"),
        (b"<blocks/>", "not an era stream"),
        (&record(0, 4, b"data")[..20], "ends in the middle of a record's head"),
        (&[record(9000, 0, b""), b"rubbish!".to_vec()].concat(), "stream, byte 24: a record must begin here"),
    ] {
        let destination = Destination::holding(&content);
        destination.apply(&[], stream).expect_error(says);
        assert!(destination.content() == content, "{says}");
    }
}

#[test]
fn a_cut_stream_is_an_error_wherever_it_is_cut() {
    let v1 = [record(3, 5, b"abcde"), record(20, 2, b"yz"), end_marker()].concat();
    for len in 0..v1.len() {
        Destination::missing().apply(&["--require-end"], &v1[..len]).expect_error("");
    }
    let v2 = stream(&sound());
    for len in [9, 40, 111, 113, 200, v2.len() - 1] {
        Destination::missing().apply(&[], &v2[..len]).expect_error("incomplete");
    }
}

#[test]
fn version_2_makes_the_file_as_large_as_the_device() {
    let stream = finished(vec![Record::new(2, 1, frame(&[(5, 3)], b"abc"))], 3, 0);
    for old in [None, Some(noise(100))] {
        let destination = old.as_ref().map_or_else(Destination::missing, |old| Destination::holding(old));
        destination.apply(&["--require-end"], &stream).expect_quiet_success();
        let content = destination.content();
        assert_eq!((content.len() as u64, &content[5..8]), (DEVICE_BYTES, &b"abc"[..]));
        if let Some(old) = old {
            assert_eq!((&content[..5], &content[8..100]), (&old[..5], &old[8..]));
        }
    }
}

#[test]
fn a_larger_file_keeps_its_rest_and_there_is_a_warning() {
    let old = noise(DEVICE_BYTES as usize + 1000);
    let destination = Destination::holding(&old);
    let out = destination.apply(&[], &stream(&sound()));
    assert_eq!(out.code, Some(0));
    assert!(out.stderr.contains("warning: the file has 1049576 bytes"), "{}", out.stderr);
    assert!(destination.content()[DEVICE_BYTES as usize..] == old[DEVICE_BYTES as usize..]);
}

#[test]
fn zeros_overwrite_and_give_space_back() {
    let destination = Destination::holding(&noise(DEVICE_BYTES as usize));
    let zeros = finished(
        vec![Record::new(2, 1, frame(&[(4096, ZEROS | (DEVICE_BYTES - 4096))], b""))],
        0,
        DEVICE_BYTES - 4096,
    );
    destination.apply(&["--require-end"], &zeros).expect_quiet_success();
    let content = destination.content();
    assert!(content[..4096] == noise(4096) && content[4096..].iter().all(|&b| b == 0));
    let held = fs::metadata(&destination.path).unwrap().blocks() * 512;
    assert!(held < DEVICE_BYTES / 2, "{held} bytes are still held");
}

#[test]
fn damage_is_found_before_the_damaged_frame_is_written() {
    let payload = frame(&[(0, 4096)], &noise(4096));
    let mut bytes = finished(vec![Record::new(2, 1, payload)], 4096, 0);
    let at = bytes.len() - 200;
    bytes[at] ^= 1;
    let destination = Destination::holding(&vec![1; DEVICE_BYTES as usize]);
    destination.apply(&[], &bytes).expect_error("checksum");
    assert!(destination.content().iter().all(|&b| b == 1));
}

/// A sender that lies about the size of the device makes a large sparse file, not a full disk or memory.
#[test]
fn a_claimed_size_is_only_a_size() {
    let mut records = vec![Record::new(1, 0, header(1 << 40))];
    let trailer = stream_builder::trailer(&records, 0, 0);
    records.push(Record::new(3, 1, trailer));
    let destination = Destination::missing();
    destination.apply(&["--require-end"], &stream(&records)).expect_quiet_success();
    let metadata = fs::metadata(&destination.path).unwrap();
    assert_eq!((metadata.len(), metadata.blocks()), (1 << 40, 0));
}

#[test]
fn bad_destinations_are_refused_before_stdin_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let below_missing = dir.path().join("missing/image");
    for (destination, says) in [
        (dir.path().to_str().unwrap(), "neither a block device nor a regular file"),
        ("/dev/null", "neither a block device nor a regular file"),
        (below_missing.to_str().unwrap(), "cannot open for writing: No such file"),
    ] {
        let mut child = command("era_apply", &[destination]).spawn().unwrap();
        let stdin = child.stdin.take();
        Run::from(child.wait_with_output().unwrap()).expect_error(says);
        drop(stdin);
    }
    assert!(!below_missing.exists());
}

#[test]
fn hostile_lengths_do_not_take_memory() {
    // The shell limits the address space to 256 MiB; a stream that claims 4 GiB must not come near that.
    let claim = Record { stored_bytes: Some(u32::MAX), ..Record::new(2, 1, vec![]) };
    let bomb = zstd::bulk::compress(&vec![0; 512 << 20], 1).unwrap();
    let bomb = Record { flags: 1, plain_bytes: Some(4_259_848), ..Record::new(2, 1, bomb) };
    for record in [claim, bomb] {
        let bytes = finished(vec![record], 0, 0);
        let mut child = std::process::Command::new("sh")
            .args(["-c", "ulimit -v 262144 && exec \"$0\" inspect -", env!("CARGO_BIN_EXE_era")])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // It may have refused the stream before all of it is written.
        let _ = child.stdin.take().unwrap().write_all(&bytes);
        Run::from(child.wait_with_output().unwrap()).expect_error("stream, byte 112: ");
    }
}

#[test]
fn an_interruption_says_what_it_leaves() {
    let destination = Destination::missing();
    let mut child = command("era_apply", &[destination.path.to_str().unwrap()]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Once the header's size is the file's, it is under way and waits for more.
    stdin.write_all(&stream(&sound()[..1])).unwrap();
    while !fs::metadata(&destination.path).is_ok_and(|m| m.len() == DEVICE_BYTES) {
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let out = Run::from(child.wait_with_output().unwrap());
    assert_eq!(out.signal, Some(Signal::INT.as_raw()));
    assert!(out.stderr.starts_with("era_apply: interrupted: "), "{}", out.stderr);
    assert!(out.stderr.contains("mix of old and new"), "{}", out.stderr);
}

#[test]
fn a_link_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link");
    symlink("target", &link).unwrap();
    run("era_apply", &[link.to_str().unwrap()], &stream(&sound())).expect_quiet_success();
    assert_eq!(fs::metadata(dir.path().join("target")).unwrap().len(), DEVICE_BYTES);
    fs::remove_file(&link).unwrap();
    symlink("missing/target", &link).unwrap();
    run("era_apply", &[link.to_str().unwrap()], &stream(&sound())).expect_error("cannot open for writing");
}
