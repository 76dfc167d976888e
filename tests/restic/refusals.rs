// SPDX-License-Identifier: GPL-3.0-or-later
//! What cannot be done changes nothing, and is said with a cure.

use std::fs;

use crate::bench::Bench;
use crate::device::{Device, MIB, Part};
use crate::program::run_command;

#[test]
fn a_stream_that_is_not_whole_leaves_no_snapshot() {
    let (bench, mut device) = (Bench::new(), Device::new(80 * MIB));
    device.fill(3, 1);
    bench.receive(&device.full());
    device.fill(9, 2);
    device.fill(60, 3);
    let whole = device.increment();
    for cut in [whole.len() - 1, whole.len() / 2, 4000] {
        bench.try_receive(&whole[..cut]).expect_error("");
        assert_eq!(bench.snapshots(), 1);
    }
    let mut flipped = whole.clone();
    flipped[whole.len() / 3] ^= 1;
    bench.try_receive(&flipped).expect_error("");
    assert_eq!(bench.snapshots(), 1);
    bench.check_only();
    // What was begun is no obstacle.
    bench.receive(&whole);
    bench.check(&device);
}

#[test]
fn an_increment_needs_its_parent() {
    let (bench, mut device) = (Bench::new(), Device::new(4 * MIB));
    device.fill(0, 1);
    device.era = 5;
    let early = device.increment();
    bench.try_receive(&early).expect_error("has no snapshot of this device");
    bench.receive(&device.full());
    device.era += 1;
    device.fill(1, 2);
    bench.try_receive(&device.increment()).expect_error("needs all since era 7");
    device.generation = 99;
    device.fill(1, 3);
    bench.try_receive(&device.increment()).expect_error("tracking began anew");
    assert_eq!(bench.snapshots(), 1);
    bench.receive(&device.full());
    bench.check(&device);
}

#[test]
fn a_part_of_a_segment_is_refused() {
    let (bench, mut device) = (Bench::new(), Device::new(4 * MIB));
    device.fill(0, 1);
    bench.receive(&device.full());
    let since = device.era;
    let part = device.stream(2, since, &[vec![Part::Zeros(4096, 8192)]]);
    bench.try_receive(&part).expect_error("--whole");
    assert_eq!(bench.snapshots(), 1);
}

#[test]
fn a_password_is_needed_and_named() {
    let bench = Bench::new();
    let stream = Device::new(MIB).full();
    let args = ["receive", "--init", "--name", "vol", &bench.url()];
    let mut command = bench.era(&args);
    command.env_remove("RESTIC_PASSWORD");
    run_command(command, &stream).expect_error("set RESTIC_PASSWORD_FILE");
    assert!(!bench.repository().exists());
    bench.receive(&stream);
    let mut command = bench.era(&args);
    command.env("RESTIC_PASSWORD", "another");
    let run = run_command(command, &stream);
    run.expect_error("password");
    assert!(!run.stderr.contains("another"), "{}", run.stderr);
    // From a file, and from a command.
    let file = bench.dir.path().join("password");
    fs::write(&file, format!("{}\n", crate::bench::PASSWORD)).unwrap();
    for (name, value) in [
        ("RESTIC_PASSWORD_FILE", file.display().to_string()),
        ("RESTIC_PASSWORD_COMMAND", format!("cat {}", file.display())),
    ] {
        let mut command = bench.era(&args);
        command.env_remove("RESTIC_PASSWORD").env(name, value);
        let run = run_command(command, &stream);
        assert_eq!(run.code, Some(0), "{name}: {}", run.stderr);
    }
}

#[test]
fn a_repository_is_made_only_if_asked_for() {
    let bench = Bench::new();
    let stream = Device::new(MIB).full();
    run_command(bench.era(&["receive", "--name", "vol", &bench.url()]), &stream).expect_error("--init");
    assert!(!bench.repository().exists());
    run_command(bench.era(&["receive", "--init", &bench.url()]), &stream).expect_error("--name");
    run_command(bench.era(&["receive", "--init", "--name", "vol", "restic:ftp:x"]), &stream)
        .expect_error("ftp is no kind of repository");
    run_command(bench.era(&["receive", "--init", "--name", "vol", "restic:"]), &stream)
        .expect_error("RESTIC_REPOSITORY");
}
