// SPDX-License-Identifier: GPL-3.0-or-later
//! Every kind of server takes a repository: made, filled, added to, and read by restic and by us.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::bench::Bench;
use crate::device::{Device, MIB};
use crate::made;
use crate::servers::{SECRET, Server};

/// What programs need to reach moto, which takes every key.
pub fn keys() -> [(&'static str, String); 2] {
    [("AWS_ACCESS_KEY_ID", "AKIATESTING".into()), ("AWS_SECRET_ACCESS_KEY", SECRET.into())]
}

/// Two backups; a server's secret is in nothing that is said.
fn serves(bench: &Bench) -> Device {
    let mut device = Device::new(100 * MIB + 8192);
    for segment in [0, 1, 50, 99] {
        device.fill(segment, segment + 1);
    }
    device.write(100 * MIB + 4096, 7);
    let run = bench.try_receive(&device.full());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(!run.stderr.contains(SECRET) && !run.stderr.contains("warning"), "{}", run.stderr);
    bench.check(&device);
    let first = device.image();
    device.write(50 * MIB + 4096, 8);
    device.fill(70, 9);
    let added = bench.receive(&device.increment());
    assert_eq!((added.segments, added.opened), (2, 2));
    bench.check(&device);
    let ids = bench.ids();
    assert_eq!(ids.len(), 2);
    assert!(bench.restored(&ids[0]) == first);
    assert!(bench.restored(&ids[1]) == device.image());
    device
}

#[test]
fn rest() {
    let server = Server::rest(false);
    let bench = Bench::at(format!("rest:http://me:{SECRET}@127.0.0.1:{}/", server.port), &[]);
    serves(&bench);
    bench.ok(&["prune", &bench.url(), "--keep-last", "1"]);
    assert_eq!(bench.ids().len(), 1);
    // Without what it takes to be let in, that is said, and not that there is nothing.
    let mut stranger = Bench::at(format!("rest:http://127.0.0.1:{}/", server.port), &[]);
    let run = stranger.try_receive(&Device::new(MIB).full());
    run.expect_error("401");
    // As restic has them.
    stranger.environment =
        vec![("RESTIC_REST_USERNAME", "me".into()), ("RESTIC_REST_PASSWORD", SECRET.into())];
    assert_eq!(stranger.ids().len(), 1);
}

#[test]
fn rest_that_only_adds() {
    let server = Server::rest_made(true);
    let bench = Bench::at(format!("rest:http://me:{SECRET}@127.0.0.1:{}/", server.port), &[]);
    let mut device = Device::new(8 * MIB);
    for segment in 0..3 {
        device.fill(segment, segment + 1);
        let stream = if segment == 0 { device.full() } else { device.increment() };
        bench.receive(&stream);
    }
    let run = bench.run(&["prune", &bench.url(), "--keep-last", "1"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("restic:rest:http://me:***@127.0.0.1"), "{}", run.stderr);
    assert!(run.stderr.contains("403 Forbidden") && !run.stderr.contains(SECRET), "{}", run.stderr);
    assert_eq!(bench.ids().len(), 3);
    assert!(bench.restored(bench.ids().last().unwrap()) == device.image());
    // Elsewhere, by somebody who may delete.
    let mut files = Bench::new();
    files.place = Some(server.dir.path().join("files").display().to_string());
    files.check(&device);
    files.ok(&["prune", &files.url(), "--keep-last", "1"]);
    assert_eq!(bench.ids().len(), 1);
    device.fill(5, 5);
    let added = bench.receive(&device.increment());
    assert_eq!((added.segments, added.opened), (1, 1));
    files.check(&device);
}

#[test]
fn s3() {
    let server = Server::s3_made();
    let bench = Bench::at(format!("s3:http://127.0.0.1:{}/bucket/r", server.port), &keys());
    serves(&bench);
    bench.ok(&["prune", &bench.url(), "--keep-last", "1"]);
    assert_eq!(bench.ids().len(), 1);
}

/// Processes that know the server's key.
fn clients(server: &Server) -> Vec<String> {
    let key = server.dir.path().join("key").display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let line = |process: fs::DirEntry| fs::read(process.path().join("cmdline")).unwrap_or_default();
    let lines = processes.map(|process| String::from_utf8_lossy(&line(process)).replace('\0', " "));
    lines.filter(|line| line.starts_with("rclone") && line.contains(&key)).collect()
}

fn wait_until(is_so: impl Fn() -> bool) {
    for _ in 0..1200 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("it is not so after a minute");
}

#[test]
fn sftp_by_rclone() {
    let server = Server::sftp();
    let bench = Bench::at(server.sftp_place(), &[("RCLONE_CONFIG", bench_file(&server))]);
    // A host that is another one than is known is refused.
    server.know(false);
    let run = bench.try_receive(&Device::new(MIB).full());
    run.expect_error("rclone");
    let repository = server.dir.path().join("repository");
    assert!(!repository.exists());
    server.know(true);
    made::make(&repository);
    serves(&bench);
    assert_eq!(clients(&server), [""; 0]);
    // Killed, it leaves nobody behind either.
    let mut child = bench.era(&["receive", "--name", "vol", &bench.url()]).spawn().unwrap();
    wait_until(|| !clients(&server).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until(|| clients(&server).is_empty());
}

#[test]
fn sftp_of_its_own_is_refused_with_the_way_to_it() {
    let bench = Bench::at("sftp:me@host:/srv/restic".into(), &[]);
    bench
        .try_receive(&Device::new(MIB).full())
        .expect_error("SFTP is reached by rclone: rclone::sftp,host=HOST");
}

fn bench_file(server: &Server) -> String {
    server.dir.path().join("no-configuration").display().to_string()
}
