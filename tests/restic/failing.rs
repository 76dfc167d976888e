// SPDX-License-Identifier: GPL-3.0-or-later
//! A server that fails in the middle of a run: it ends with an error, nothing was added, and the next run completes.

use crate::backends::keys;
use crate::bench::Bench;
use crate::device::{Device, MIB};
use crate::proxy::{Fault, Proxy};
use crate::servers::{SECRET, Server};

/// A server, and the two ways to it.
struct Reached {
    _server: Server,
    proxy: Proxy,
    /// Through the proxy, and past it.
    bench: Bench,
    direct: Bench,
    device: Device,
}

impl Reached {
    /// With a first snapshot.
    fn new(server: Server, place: impl Fn(u16) -> String) -> Self {
        let proxy = Proxy::start(server.port);
        let mut environment = keys().to_vec();
        environment.extend([("ERA_STORAGE_RETRIES", "1".into()), ("ERA_STORAGE_TIMEOUT", "20".into())]);
        let bench = Bench::at(place(proxy.port), &environment);
        let direct = Bench::at(place(server.port), &environment);
        let mut device = Device::new(64 * MIB);
        device.fill(0, 1);
        bench.receive(&device.full());
        Self { _server: server, proxy, bench, direct, device }
    }

    fn rest() -> Self {
        Self::new(Server::rest_made(false), |port| format!("rest:http://me:{SECRET}@127.0.0.1:{port}/"))
    }

    fn s3() -> Self {
        Self::new(Server::s3_made(), |port| format!("s3:http://127.0.0.1:{port}/bucket/r"))
    }

    /// A run in which that happens, when the upload has begun.
    fn fails(&mut self, fault: Fault, says: &str) {
        for segment in 10..16 {
            let seed = u64::from(self.device.era) * 100 + segment;
            self.device.fill(segment, seed);
        }
        let stream = self.device.increment();
        let before = self.direct.snapshots();
        self.proxy.fail(fault, 2 * MIB);
        let run = self.bench.try_receive(&stream);
        run.expect_error(says);
        let place = self.bench.url().replace(SECRET, "***");
        assert!(run.stderr.contains(&place), "{place} is not in {}", run.stderr);
        assert!(!run.stderr.contains(SECRET), "{}", run.stderr);
        assert!(self.proxy.tries() < 40, "{} tries", self.proxy.tries());
        assert_eq!(self.direct.snapshots(), before);
        self.direct.check_only();
        self.proxy.heal();
        let added = self.bench.receive(&stream);
        assert_eq!((added.segments, added.opened), (6, 6));
        self.direct.check(&self.device);
    }
}

#[test]
fn rest_connections_are_dropped() {
    Reached::rest().fails(Fault::Close, "rror");
}

#[test]
fn rest_is_full_or_broken() {
    let mut reached = Reached::rest();
    reached.fails(Fault::Answer("507 Insufficient Storage"), "507 Insufficient Storage");
    reached.fails(Fault::Answer("500 Internal Server Error"), "500 Internal Server Error");
}

#[test]
fn rest_stalls() {
    let mut reached = Reached::rest();
    reached.bench.environment.push(("ERA_STORAGE_TIMEOUT", "3".into()));
    reached.fails(Fault::Stall, "was not answered for 3 s");
}

#[test]
fn s3_connections_are_dropped_or_it_is_full() {
    let mut reached = Reached::s3();
    reached.fails(Fault::Close, "rror");
    reached.fails(Fault::Answer("507 Insufficient Storage"), "507");
    reached.fails(Fault::Answer("503 Slow Down"), "503");
}

#[test]
fn s3_stalls() {
    let mut reached = Reached::s3();
    reached.bench.environment.push(("ERA_STORAGE_TIMEOUT", "3".into()));
    reached.fails(Fault::Stall, "was not answered for 3 s");
}

#[test]
fn slow_is_no_failure() {
    let mut reached = Reached::rest();
    for segment in 10..14 {
        reached.device.fill(segment, segment);
    }
    reached.proxy.fail(Fault::Slow, 0);
    let added = reached.bench.receive(&reached.device.increment());
    assert_eq!((added.segments, added.opened), (4, 4));
    reached.direct.check(&reached.device);
}

#[test]
fn a_server_that_fails_is_not_one_without_a_repository() {
    for mut reached in [Reached::rest(), Reached::s3()] {
        reached.proxy.fail(Fault::Answer("500 Internal Server Error"), 0);
        // With --init, a repository that is made anew would destroy this one.
        reached.bench.try_receive(&reached.device.full()).expect_error("500");
        reached.proxy.heal();
        assert_eq!(reached.bench.ids().len(), 1);
        reached.direct.check(&reached.device);
    }
}
