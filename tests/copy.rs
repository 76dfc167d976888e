// SPDX-License-Identifier: GPL-3.0-or-later
//! `era_copy`: the classic arguments, the classic stream, and what goes wrong.

#[path = "common/program.rs"]
mod program;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::Stdio;

use program::{command, data, noise, run};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A directory with a device in it.
struct Fixture {
    dir: TempDir,
    device: String,
    content: Vec<u8>,
}

impl Fixture {
    fn new(bytes: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let device = dir.path().join("device").to_str().unwrap().to_owned();
        let content = noise(bytes);
        fs::write(&device, &content).unwrap();
        Self { dir, device, content }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Records as the classic era_apply reads them: a head of 24 bytes, then as many bytes as it says, until the input
/// ends; a length of 0 is nothing special.
fn classic_records(mut stream: &[u8]) -> Vec<(i64, Vec<u8>)> {
    let mut records = Vec::new();
    while !stream.is_empty() {
        let (head, rest) = stream.split_at(24);
        assert_eq!(&head[..8], b"ERARANGE");
        let offset = i64::from_le_bytes(head[8..16].try_into().unwrap());
        let len = i64::from_le_bytes(head[16..].try_into().unwrap());
        let (data, rest) = rest.split_at(usize::try_from(len).unwrap());
        records.push((offset, data.to_vec()));
        stream = rest;
    }
    records
}

#[test]
fn writes_what_the_classic_reader_reads_and_an_end_marker() {
    let fixture = Fixture::new(64 << 10);
    for list in ["blocks-0.9.xml", "blocks-1.x.xml"] {
        let out = run("era_copy", &["8", &fixture.device], &data(list));
        out.expect_quiet_success();
        let at = |from: usize, to: usize| (from as i64, fixture.content[from..to].to_vec());
        assert_eq!(
            classic_records(&out.stdout),
            [at(0, 8192), at(20480, 24576), at(32768, 49152), (0, vec![])],
            "{list}"
        );
    }
}

#[test]
fn any_block_size_that_the_classic_tool_takes() {
    let fixture = Fixture::new(100_000);
    for sectors in [1, 3, 48] {
        let out = run(
            "era_copy",
            &[&sectors.to_string(), &fixture.device],
            b"<blocks><range begin=\"1\" end=\"3\"/></blocks>",
        );
        out.expect_quiet_success();
        let range = sectors * 512..sectors * 3 * 512;
        assert_eq!(classic_records(&out.stdout)[0], (range.start as i64, fixture.content[range].to_vec()));
    }
}

#[test]
fn ranges_past_the_end_are_cut_or_dropped() {
    let fixture = Fixture::new(10 * 4096 + 512);
    let out = run("era_copy", &["8", &fixture.device], &data("blocks-1.x.xml"));
    out.expect_quiet_success();
    let records = classic_records(&out.stdout);
    assert_eq!((records[2].0, records[2].1.len()), (32768, 2 * 4096 + 512));
    let beyond = b"<blocks><block block=\"11\"/><block block=\"2147483647\"/></blocks>";
    let out = run("era_copy", &["8", &fixture.device], beyond);
    assert_eq!(classic_records(&out.stdout), [(0, vec![])]);
}

#[test]
fn without_a_device_it_prints_the_estimate() {
    assert_eq!(run("era_copy", &["8"], &data("blocks-0.9.xml")).text(), "28672 bytes to copy\n");
    assert_eq!(
        run("era_copy", &["--progress", "1024"], b"<blocks>\n</blocks>\n").text(),
        "0 bytes to copy\n"
    );
    let all = b"<blocks><range begin=\"0\" end=\"2147483648\"/></blocks>";
    assert_eq!(run("era_copy", &["4294967295"], all).text(), "4722366481770133585920 bytes to copy\n");
}

#[test]
fn the_command_and_the_link_are_the_same() {
    let fixture = Fixture::new(64 << 10);
    let list = data("blocks-1.x.xml");
    let by_link = run("/usr/local/bin/era_copy", &["8", &fixture.device], &list);
    let by_command = run("era", &["copy", "8", &fixture.device], &list);
    assert_eq!(by_link.stdout, by_command.stdout);
    assert!(!by_link.stdout.is_empty());
}

#[test]
fn version_2_is_smaller_where_there_are_zeros_and_holds_the_same() {
    let fixture = Fixture::new(4 << 20);
    let file = File::options().write(true).open(&fixture.device).unwrap();
    file.set_len(1 << 20).unwrap();
    file.set_len(4 << 20).unwrap();
    let all = b"<blocks><range begin=\"0\" end=\"1024\"/></blocks>";
    for args in [&["--format", "2"][..], &["--format=2", "--compress", "3"]] {
        let out = run("era_copy", &[args, &["8", &fixture.device]].concat(), all);
        out.expect_quiet_success();
        assert!(out.stdout.len() < (1 << 20) + 10_000, "{} bytes", out.stdout.len());
        let image = fixture.path().join("image");
        run("era_apply", &["--require-end", image.to_str().unwrap()], &out.stdout).expect_quiet_success();
        assert!(fs::read(&image).unwrap() == fs::read(&fixture.device).unwrap());
    }
}

/// Moves all that comes through a pipe on into other pipes, as it is, and looks at it only when the program has ended.
fn through_other_pipes(program: &str, args: &[&str], list: &[u8]) -> Vec<u8> {
    let mut child =
        command(program, args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().unwrap().write_all(list).unwrap();
    let stdout = child.stdout.take().unwrap();
    let mut held = Vec::new();
    let (mut reader, mut writer) = io::pipe().unwrap();
    loop {
        poll(&mut [PollFd::new(&stdout, PollFlags::IN)], None).unwrap();
        match splice(&stdout, None, &writer, None, 1 << 20, SpliceFlags::NONBLOCK) {
            Ok(0) => break,
            Ok(_) => {}
            // There is something to move: so it is the other pipe that is full.
            Err(Errno::AGAIN) => {
                held.push(reader);
                (reader, writer) = io::pipe().unwrap();
                // Where there is room for larger ones.
                let _ = fcntl_setpipe_size(&writer, 1 << 20);
            }
            Err(e) => panic!("{e}"),
        }
    }
    drop(writer);
    held.push(reader);
    assert!(child.wait().unwrap().success());
    let mut all = Vec::new();
    for mut reader in held {
        reader.read_to_end(&mut all).unwrap();
    }
    all
}

#[test]
fn what_is_in_a_pipe_does_not_change_any_more() {
    let fixture = Fixture::new(40 << 20);
    // Some of the blocks alone, most together.
    let list = b"<blocks><range begin=\"0\" end=\"3\"/><range begin=\"4\" end=\"40\"/><range begin=\"41\" end=\"80\"/></blocks>";
    for args in [&["1024", &fixture.device][..], &["--format", "2", "1024", &fixture.device]] {
        let direct = run("era_copy", args, list).stdout;
        let passed_on = through_other_pipes("era_copy", args, list);
        let different = direct.iter().zip(&passed_on).filter(|(a, b)| a != b).count();
        // The time in the header of version 2 is another, and so are its checksums and the last hash.
        let most = if args.len() > 2 { 100 } else { 0 };
        assert!(direct.len() == passed_on.len() && different <= most, "{different} bytes, {args:?}");
    }
}

#[test]
fn a_bad_list_gives_an_error_and_no_stream() {
    let fixture = Fixture::new(64 << 10);
    for (list, says) in [
        (&b""[..], "the list is empty"),
        (b"<blocks>\n  <block block=\"1\"/>\n", "ends before </blocks>"),
        (b"<blocks><block block=\"2\"/><block block=\"1\"/></blocks>", "must ascend"),
        (b"<blocks><block block=\"2147483648\"/></blocks>", "beyond the last"),
        (b"bad checksum in superblock\n", "does not belong here"),
        (b"\xff\xfe\x00", ""),
    ] {
        for args in [&["8", fixture.device.as_str()][..], &["8"]] {
            let out = run("era_copy", args, list);
            out.expect_error(says);
            assert!(out.stderr.starts_with("era_copy: stdin: block list, byte "), "{}", out.stderr);
        }
    }
}

#[test]
fn bad_arguments_are_refused_before_stdin_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing").to_str().unwrap().to_owned();
    for (args, says) in [
        (&["8", missing.as_str()][..], "cannot open for reading: No such file"),
        (&["8", dir.path().to_str().unwrap()], "neither a block device nor a regular file"),
        (&["8", "/dev/null"], "neither a block device nor a regular file"),
        (&["0"], "block size"),
        (&["-8"], ""),
        (&["1k"], "block size"),
        (&[], "<BLOCK_SIZE>"),
        (&["--format", "3", "8"], "[possible values: 1, 2]"),
        (&["--compress", "1", "8", "x"], "--compress needs --format 2"),
        (&["--compress", "20", "--format", "2", "8", "x"], "--compress"),
    ] {
        // Standard input stays open: whoever reads it would hang here.
        let mut child = command("era_copy", args).spawn().unwrap();
        let stdin = child.stdin.take();
        program::Run::from(child.wait_with_output().unwrap()).expect_error(says);
        drop(stdin);
    }
}

#[test]
fn a_device_that_shrinks_is_an_error_that_names_the_block() {
    let fixture = Fixture::new(1 << 20);
    let mut child = command("era_copy", &["8", &fixture.device]).spawn().unwrap();
    // The list is written when the device has been opened and has shrunk: an end of the first estimate shows that.
    let mut stdin = child.stdin.take().unwrap();
    wait_until_open(child.id(), &fixture.device);
    File::options().write(true).open(&fixture.device).unwrap().set_len(100 * 4096).unwrap();
    stdin.write_all(b"<blocks><range begin=\"0\" end=\"256\"/></blocks>").unwrap();
    drop(stdin);
    let out = program::Run::from(child.wait_with_output().unwrap());
    assert_eq!(out.code, Some(2));
    assert!(
        out.stderr.contains("block 100 cannot be read") && out.stderr.contains("shrunk"),
        "{}",
        out.stderr
    );
    assert!(!out.stdout.ends_with(&end_marker()), "an incomplete stream must not say that it is complete");
}

fn end_marker() -> Vec<u8> {
    [&b"ERARANGE"[..], &[0; 16]].concat()
}

/// Waits until a process has a file open; the kernel's list of its descriptors tells.
fn wait_until_open(pid: u32, path: &str) {
    let path = fs::canonicalize(path).unwrap();
    let is_open = || {
        fs::read_dir(format!("/proc/{pid}/fd"))
            .is_ok_and(|fds| fds.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|p| p == path)))
    };
    while !is_open() {
        std::thread::yield_now();
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let fixture = Fixture::new(4 << 20);
    let mut child = command("era_copy", &["8", &fixture.device]).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"<blocks><range begin=\"0\" end=\"1024\"/></blocks>").unwrap();
    drop(stdin);
    stdout.read_exact(&mut [0; 24]).unwrap();
    drop(stdout);
    let out = program::Run::from(child.wait_with_output().unwrap());
    assert_eq!((out.signal, out.stderr.as_str()), (Some(Signal::PIPE.as_raw()), ""));
}

#[test]
fn a_full_disk_is_an_error() {
    let fixture = Fixture::new(64 << 10);
    for args in [&["8", fixture.device.as_str()][..], &["--format", "2", "8", &fixture.device], &["8"]] {
        let mut child = command("era_copy", args)
            .stdout(File::options().write(true).open("/dev/full").unwrap())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&data("blocks-1.x.xml")).unwrap();
        program::Run::from(child.wait_with_output().unwrap()).expect_error("No space left");
    }
}

#[test]
fn an_interruption_says_what_it_leaves() {
    let fixture = Fixture::new(4 << 20);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut child = command("era_copy", &["8", &fixture.device]).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"<blocks><range begin=\"0\" end=\"1024\"/></blocks>").unwrap();
        drop(stdin);
        // Its first bytes show that it is under way; then it blocks, as nobody reads the rest.
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 24]).unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let out = program::Run::from(child.wait_with_output().unwrap());
        assert_eq!(out.signal, Some(signal.as_raw()));
        assert_eq!(out.stderr, "era_copy: interrupted: the stream is incomplete; do not use it\n");
    }
}

#[test]
fn progress_is_printed_where_it_is_asked_for_only() {
    let fixture = Fixture::new(1 << 20);
    let all = b"<blocks><range begin=\"0\" end=\"256\"/></blocks>";
    run("era_copy", &["8", &fixture.device], all).expect_quiet_success();
    let out = run("era_copy", &["--progress", "8", &fixture.device], all);
    assert_eq!(out.code, Some(0));
    assert!(out.stderr.starts_with("era_copy: 1.0 MiB of 1.0 MiB, "), "{}", out.stderr);
}

/// The most memory that a process has used so far, in KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_long_list_for_a_huge_device_takes_little_memory() {
    let fixture = Fixture::new(0);
    File::options().write(true).open(&fixture.device).unwrap().set_len(8 << 40).unwrap();
    // Every other one of two million blocks, spread over 8 TiB: a list of runs would take 16 MB, a bitmap of the
    // whole device 256 KB.
    let mut list = b"<blocks>".to_vec();
    for block in 0..1_000_000 {
        write!(list, "<block block=\"{}\"/>", 2 * block).unwrap();
    }
    list.extend(b"</blocks>");
    for format in ["1", "2"] {
        let mut child = command("era_copy", &["--format", format, "8192", &fixture.device]).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&list).unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 24]).unwrap();
        assert!(peak_kib(child.id()) < 64 << 10, "version {format}: {} KiB", peak_kib(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
