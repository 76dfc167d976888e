// SPDX-License-Identifier: GPL-3.0-or-later
//! What a repository refuses, with the cure, before anything is changed.

use std::fs;

use uuid::Uuid;

use crate::bench::{Bench, Device};

fn ready() -> (Bench, Device) {
    let (mut bench, mut device) = (Bench::new(), Device::new(40_960));
    device.write_some(5);
    let full = device.full();
    bench.receive(&full, &device);
    device.write_some(5);
    (bench, device)
}

fn refused(bench: &Bench, stream: &[u8], says: &str) {
    let before = fs::read(bench.file("manifest.json")).ok();
    bench.run(&["receive", "REPO"], stream, None).expect_error(says);
    assert_eq!(before, fs::read(bench.file("manifest.json")).ok());
}

#[test]
fn streams_that_do_not_fit() {
    let (mut bench, device) = ready();
    let mut other = device.clone();
    other.id = Uuid::from_u128(5);
    refused(&bench, &other.full(), "use another directory");
    refused(&bench, &other.increment(), "use another directory");
    let mut anew = device.clone();
    anew.generation = Uuid::from_u128(5);
    refused(&bench, &anew.increment(), "tracking began anew");
    let mut later = device.clone();
    let _lost = later.increment();
    later.write_some(1);
    let cursor = format!("{}:{}", device.generation, device.era);
    refused(
        &bench,
        &later.increment(),
        &format!(
            "leaves a gap: it begins with era 3, but the repository has everything only up to era 2; send from --since {cursor}"
        ),
    );
    refused(&bench, b"", "the stream is empty");
    refused(&bench, b"not a stream", "not an era stream");
    refused(&bench, &crate::program::data("classic.era"), "use era apply");
    bench.check_tidy();
    // An older cursor only sends more.
    let mut device = device;
    device.era -= 1;
    let increment = device.increment();
    bench.receive(&increment, &device);
    // But a stream that was received before would take the repository back in part.
    for _ in 0..2 {
        device.write_some(3);
        let increment = device.increment();
        bench.receive(&increment, &device);
    }
    refused(&bench, &increment, "is older than what the repository has");
    bench.check_tidy();
}

#[test]
fn a_beginning_without_a_full_copy() {
    let (bench, mut device) = (Bench::new(), Device::new(40_960));
    device.write_some(5);
    refused(&bench, &device.increment(), "begin with a full one");
    assert!(!bench.path().exists());
    bench.run(&["points", "REPO"], b"", None).expect_error("there is no repository");
    bench.run(&["verify", "REPO"], b"", None).expect_error("there is no repository");
}

#[test]
fn directories_of_others() {
    let (bench, mut device) = (Bench::new(), Device::new(40_960));
    fs::create_dir(bench.path()).unwrap();
    fs::write(bench.file("thesis"), "precious").unwrap();
    refused(&bench, &device.full(), "neither a repository nor empty");
    assert_eq!(fs::read_dir(bench.path()).unwrap().count(), 1);
}

#[test]
fn restores_that_would_do_harm() {
    let (bench, _) = ready();
    let file = bench.path().join("../there");
    fs::write(&file, "precious").unwrap();
    bench.run(&["restore", "REPO", "there"], b"", None).expect_error("pass --force");
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    bench
        .run(&["restore", "REPO@2", "new"], b"", None)
        .expect_error("there is no point 2; there are 1, from 1");
    bench.run(&["restore", "REPO@yesterday", "new"], b"", None).expect_error("is no point");
    assert!(!bench.path().join("../new").exists());
}

#[test]
fn pruning_without_a_rule() {
    let (bench, _) = ready();
    bench.run(&["prune", "REPO"], b"", None).expect_error("nothing says what to keep");
    bench.check_tidy();
}

#[test]
fn mounts_where_they_cannot_be() {
    let (bench, _) = ready();
    bench.run(&["mount", "REPO", "nowhere"], b"", None).expect_error("nowhere: is not there");
    bench.run(&["mount", "REPO", "REPO/image"], b"", None).expect_error("is not a directory");
    bench.run(&["mount", "--foreground", "REPO", "REPO"], b"", None).expect_error("is not empty");
    std::fs::create_dir(bench.path().with_file_name("empty")).unwrap();
    bench.run(&["mount", "REPO@x", "empty"], b"", None).expect_error("is no point");
    bench.run(&["mount", "nothing", "empty"], b"", None).expect_error("nothing: there is no repository");
}

#[test]
fn a_repository_is_not_restored_onto_itself() {
    let (mut bench, mut device) = (Bench::new(), Device::new(100_000));
    device.write_some(20);
    let full = device.full();
    bench.receive(&full, &device);
    device.write(3, false);
    let increment = device.increment();
    bench.receive(&increment, &device);
    // The image may be elsewhere.
    let elsewhere = bench.path().join("../elsewhere");
    std::fs::rename(bench.file("image"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, bench.file("image")).unwrap();
    let linked = bench.path().join("../linked");
    std::os::unix::fs::symlink(bench.file("hashes"), linked).unwrap();
    for target in ["REPO/image", "elsewhere", "./repo/hashes", "linked", "REPO/undo/1-2", "REPO/new"] {
        for point in ["REPO", "REPO@1"] {
            bench
                .run(&["restore", "--force", point, target], b"", None)
                .expect_error("is a part of the repository");
        }
    }
    bench.check_tidy();
}
