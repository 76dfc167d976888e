// SPDX-License-Identifier: GPL-3.0-or-later
//! What other machines do to a repository while one adds to it, or makes it.

use std::fs;
use std::io::{BufRead, BufReader, Cursor, Write};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::thread;

use era::restic::backup::{Added, Target};

use crate::bench::Bench;
use crate::device::{Device, MIB};
use crate::program::run_command;
use crate::restoring::opened;

/// A backup beside which something happens when all is uploaded, and the snapshot is not written yet.
fn added(bench: &Bench, stream: Vec<u8>, meanwhile: impl FnOnce()) -> anyhow::Result<Added> {
    Target::new(opened(bench))?.add(
        "vol",
        Cursor::new(stream),
        |_| (),
        || {
            meanwhile();
            Ok(())
        },
    )
}

/// A device that is in the repository, and has changed since.
fn changed(bench: &Bench) -> Device {
    let mut device = Device::new(130 * MIB);
    device.fill(1, 1);
    bench.receive(&device.full());
    device.fill(2, 2);
    device.fill(100, 3);
    device
}

#[test]
fn a_snapshot_whose_data_were_pruned_is_not_written() {
    let bench = Bench::new();
    let mut device = changed(&bench);
    for stream in [device.increment(), device.full()] {
        let said = added(&bench, stream, || drop(bench.output(&["prune"]))).unwrap_err();
        assert!(format!("{said:#}").contains("was pruned while this backup ran"), "{said:#}");
        assert_eq!(bench.snapshots(), 1);
        bench.check_only();
    }
    bench.receive(&device.full());
    bench.check(&device);
}

#[test]
fn a_new_index_does_no_harm() {
    let bench = Bench::new();
    let mut device = changed(&bench);
    added(&bench, device.increment(), || drop(bench.output(&["rebuild-index"]))).unwrap();
    bench.check(&device);
    device.fill(3, 4);
    added(&bench, device.full(), || drop(bench.output(&["rebuild-index"]))).unwrap();
    bench.check(&device);
}

#[test]
fn our_own_prune_leaves_a_backup_what_it_has_uploaded() {
    let bench = Bench::new();
    let mut device = changed(&bench);
    bench.receive(&device.increment());
    device.fill(5, 5);
    let stream = device.increment();
    added(&bench, stream, || drop(bench.ok(&["prune", &bench.url(), "--keep-last", "1"]))).unwrap();
    assert_eq!(bench.snapshots(), 2);
    bench.check(&device);
    assert!(bench.restored("latest") == device.image());
}

#[test]
fn what_is_left_of_a_repository_is_not_written_over() {
    let bench = Bench::new();
    let mut device = changed(&bench);
    fs::remove_file(bench.repository().join("config")).unwrap();
    bench.try_receive(&device.full()).expect_error("there is keys of a repository");
    assert!(!bench.repository().join("config").exists());
    assert_eq!(fs::read_dir(bench.repository().join("keys")).unwrap().count(), 1);
}

#[test]
fn of_several_that_make_a_repository_none_loses_what_it_has_added() {
    let bench = Bench::new();
    let streams: Vec<_> = (0..4)
        .map(|number| {
            let mut device = Device::new(4 * MIB);
            device.identity = 0xd0 + number;
            device.full()
        })
        .collect();
    let done: usize = thread::scope(|scope| {
        let runs: Vec<_> =
            streams.iter().map(|stream| scope.spawn(|| bench.try_receive_first(stream).code)).collect();
        runs.into_iter().map(|run| usize::from(run.join().unwrap() == Some(0))).sum()
    });
    // Where each saw another one, the next one makes it.
    bench.receive(&streams[0]);
    assert_eq!(bench.snapshots(), done + 1);
    assert_eq!(fs::read_dir(bench.repository().join("keys")).unwrap().count(), 1);
    bench.check_only();
}

#[test]
fn a_server_that_does_not_say_whether_there_is_one_is_left_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("restic:rest:http://{}/", listener.local_addr().unwrap());
    let (say, asked) = channel();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
            let Some(Ok(request)) = lines.next() else { continue };
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let (status, body) =
                if request.starts_with("GET /keys") { ("200 OK", "[]") } else { ("403 Forbidden", "") };
            let length = body.len();
            let _ = write!(
                connection,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            say.send(request).unwrap();
        }
    });
    let (bench, mut device) = (Bench::new(), Device::new(4 * MIB));
    let run = run_command(bench.era(&["receive", "--init", "--name", "vol", &url]), &device.full());
    run.expect_error("cannot find out whether there is a repository");
    let asked: Vec<_> = asked.try_iter().collect();
    assert!(asked.iter().any(|request| request.starts_with("HEAD /config")), "{asked:?}");
    assert!(asked.iter().all(|request| !request.starts_with("POST")), "{asked:?}");
}
