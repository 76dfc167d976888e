// SPDX-License-Identifier: GPL-3.0-or-later
//! Many devices of many machines, some with the same content, in one repository at once.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::thread;

use crate::backends::keys;
use crate::bench::Bench;
use crate::device::{Device, MIB};
use crate::program::run_command;
use crate::servers::Server;

const DEVICES: usize = 20;
/// So many have the same content, but for what each writes itself.
const ALIKE: u64 = 5;
/// Segments of content.
const CONTENT: u64 = 8;
/// So many backups run at the same time.
const AT_ONCE: usize = 4;

/// Does something for each device, several at the same time.
fn for_each(devices: &[Mutex<Device>], work: impl Fn(usize, &mut Device) + Sync) {
    let next = Mutex::new(0..devices.len());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.lock().unwrap().next();
                    let Some(number) = number else { return };
                    work(number, &mut devices[number].lock().unwrap());
                }
            });
        }
    });
}

#[test]
fn twenty_devices_at_once() {
    let server = Server::s3_made();
    let bench = Bench::at(format!("s3:http://127.0.0.1:{}/bucket/r", server.port), &keys());
    let devices: Vec<_> = (0..DEVICES as u64)
        .map(|number| {
            let mut device = Device::new(40 * MIB);
            (device.identity, device.generation) = (0x100 + u128::from(number), 0x200 + u128::from(number));
            for segment in 0..CONTENT {
                device.fill(segment, 1 + number / ALIKE * 100 + segment);
            }
            device.write(39 * MIB, 7_000 + number);
            Mutex::new(device)
        })
        .collect();
    let points = Mutex::new(BTreeMap::<usize, Vec<Vec<u8>>>::new());
    let backup = |number: usize, device: &mut Device| {
        let has_points = points.lock().unwrap().contains_key(&number);
        let stream = if has_points { device.increment() } else { device.full() };
        bench.receive_as(&format!("vm{number}"), &stream);
        points.lock().unwrap().entry(number).or_default().push(device.image());
    };
    // Two that begin at the same time could each make a repository.
    backup(0, &mut devices[0].lock().unwrap());
    for_each(&devices[1..], |number, device| backup(number + 1, device));
    bench.check_only();
    // What the devices hold is there about once for each content; two that upload the same at the same time do it twice.
    let stored = stored(&bench);
    let contents = DEVICES as u64 / ALIKE * CONTENT * MIB;
    assert!(stored < DEVICES as u64 * CONTENT * MIB * 2 / 3, "{stored} bytes for {contents} of contents");
    // Each changes; while they are backed up, old points go, and what nothing needs any more is found.
    for round in 0..2_u64 {
        thread::scope(|scope| {
            let pruning = scope.spawn(|| {
                for number in 0..4 {
                    let device = format!("vm{number}");
                    let args = [
                        "prune",
                        &bench.url(),
                        "--device",
                        &device,
                        "--keep-last",
                        "2",
                        "--keep-within",
                        "1h",
                    ];
                    bench.ok(&args[..]);
                }
            });
            for_each(&devices[4..], |number, device| {
                device.write((round + 9) * MIB + 4096, 90_000 + round * 100 + number as u64);
                backup(number + 4, device);
            });
            pruning.join().unwrap();
        });
        bench.check_only();
    }
    // Those that stood aside go on, too.
    for_each(&devices[..4], |number, device| {
        device.fill(20, 50 + number as u64);
        backup(number, device);
    });
    assert_eq!(run_command(bench.era(&["verify", &bench.url(), "--read-data"]), &[]).code, Some(0));
    let listed = bench.points();
    assert_eq!(listed.len(), DEVICES);
    let points = points.into_inner().unwrap();
    for_each(&devices, |number, _| {
        let name = format!("vm{number}");
        let listed = listed.iter().find(|device| device["name"] == *name);
        let listed = listed.unwrap_or_else(|| panic!("{name} is not listed"));
        let ids = listed["points"].as_array().unwrap();
        assert_eq!(ids.len(), points[&number].len(), "{name}");
        for (id, image) in ids.iter().zip(&points[&number]) {
            let target = bench.path(&format!("restored-{number}"));
            let point = format!("{}@{}", bench.url(), id["id"].as_str().unwrap());
            bench.ok(&["restore", &point, &target, "--force"]);
            assert!(fs::read(&target).unwrap() == *image, "{name}, {id}");
        }
    });
}

/// Bytes of data in the repository, as restic counts them.
fn stored(bench: &Bench) -> u64 {
    let counted = bench.output(&["stats", "--mode", "raw-data", "--json"]);
    let counted: serde_json::Value = serde_json::from_slice(&counted).unwrap();
    counted["total_size"].as_u64().unwrap()
}
