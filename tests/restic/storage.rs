// SPDX-License-Identifier: GPL-3.0-or-later
//! A storage that does not answer, uploads that break off, and what they leave.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use crate::bench::Bench;
use crate::device::{Device, MIB};
use crate::program::run_command;

fn only_file(bench: &Bench, folder: &str) -> PathBuf {
    let mut files = fs::read_dir(bench.repository().join(folder)).unwrap();
    files.next().unwrap().unwrap().path()
}

#[test]
fn a_storage_that_does_not_answer_is_an_error() {
    let (bench, mut device) = (Bench::new(), Device::new(4 * MIB));
    // Takes connections, and says nothing.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("restic:rest:http://{}/", server.local_addr().unwrap());
    let mut command = bench.era(&["receive", "--name", "vol", &url]);
    command.env("ERA_STORAGE_TIMEOUT", "1");
    run_command(command, &device.full()).expect_error("a request was not answered for 1 s");
}

#[test]
fn an_index_that_is_not_whole_is_named_and_mended() {
    let (bench, mut device) = (Bench::new(), Device::new(4 * MIB));
    device.fill(1, 1);
    bench.receive(&device.full());
    // As a second one of which the upload broke off.
    let index = only_file(&bench, "index");
    let bytes = fs::read(&index).unwrap();
    let begun = index.with_file_name("ab".repeat(32));
    fs::write(&begun, &bytes[..bytes.len() / 2]).unwrap();
    device.fill(2, 2);
    let increment = device.increment();
    bench.try_receive(&increment).expect_error(&format!("index/{}", "ab".repeat(32)));
    bench.try_receive(&increment).expect_error("restic repair index");
    bench.output(&["rebuild-index"]);
    bench.receive(&increment);
    bench.check(&device);
}

#[test]
fn a_snapshot_that_is_not_whole_is_named() {
    let (bench, mut device) = (Bench::new(), Device::new(4 * MIB));
    device.fill(1, 1);
    bench.receive(&device.full());
    let begun = only_file(&bench, "snapshots").with_file_name("cd".repeat(32));
    fs::write(&begun, b"begun").unwrap();
    device.fill(2, 2);
    let increment = device.increment();
    bench.try_receive(&increment).expect_error(&format!("snapshots/{}", "cd".repeat(32)));
    fs::remove_file(&begun).unwrap();
    bench.receive(&increment);
    bench.check(&device);
}

#[test]
fn killed_after_an_upload() {
    let (bench, mut device) = (Bench::new(), Device::new(80 * MIB));
    device.fill(1, 1);
    bench.receive(&device.full());
    // More than a pack.
    for segment in 5..70 {
        device.fill(segment, segment + 1);
    }
    let increment = device.increment();
    let mut command = bench.era(&["receive", "--name", "vol", &bench.url()]);
    command.env("ERA_FAILPOINT", "restic-uploading=kill");
    let before = bench.size();
    let run = run_command(command, &increment);
    assert_eq!(run.code, None, "{}", run.stderr);
    assert!(bench.size() > before + 16 * MIB, "nothing was uploaded");
    assert_eq!(bench.snapshots(), 1);
    bench.receive(&increment);
    bench.check(&device);
}
