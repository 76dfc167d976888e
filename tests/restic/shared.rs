// SPDX-License-Identifier: GPL-3.0-or-later
//! A repository that is not of one device alone, and one that has lost something.

use std::fs;
use std::path::Path;

use crate::bench::Bench;
use crate::device::{Device, MIB};
use crate::program::run_command;

#[test]
fn devices_and_snapshots_of_others_share_a_repository() {
    let bench = Bench::new();
    bench.output(&["init"]);
    bench.output(&["backup", "--host", "elsewhere", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    let (mut one, mut other) = (Device::new(40 * MIB), Device::new(50 * MIB));
    for segment in 0..20 {
        one.fill(segment, segment + 1);
        other.fill(segment + 30, segment + 1);
    }
    (other.identity, other.generation) = (0xd2, 0xe2);
    bench.receive(&one.full());
    let before = bench.size();
    let receive = |stream: &[u8]| {
        let run = run_command(bench.era(&["receive", "--name", "other", &bench.url()]), stream);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    };
    receive(&other.full());
    assert!(bench.size() - before < MIB, "what both have was uploaded twice");
    // Each goes on from its own.
    one.write(7 * MIB, 1000);
    other.write(7 * MIB, 2000);
    receive(&other.increment());
    let added = bench.receive(&one.increment());
    assert_eq!((added.segments, added.opened), (1, 1));
    bench.check(&one);
    let tar = bench.output(&["dump", "--path", "/other.img", "latest", "/other.img"]);
    let written = &other.image()[7 * MIB as usize..][..4096];
    assert!(tar.chunks(512).collect::<Vec<_>>().windows(8).any(|blocks| blocks.concat() == written));
    assert_eq!(bench.snapshots(), 5);
}

#[test]
fn a_full_run_mends_what_is_lost() {
    let (bench, mut device) = (Bench::new(), Device::new(80 * MIB));
    device.fill(1, 1);
    device.fill(2, 2);
    bench.receive(&device.full());
    // The packs of data are larger than those of trees.
    let mut lost = 0;
    for pack in files(&bench.repository().join("data")) {
        if fs::metadata(&pack).unwrap().len() > MIB {
            fs::remove_file(&pack).unwrap();
            lost += 1;
        }
    }
    assert!(lost > 0);
    bench.output(&["rebuild-index"]);
    // What is taken over is not looked at: only verify sees that it is not there.
    device.write(70 * MIB, 3);
    bench.receive(&device.increment());
    let run = bench.run(&["verify", &bench.url()]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("era backup --full"), "{}", run.stderr);
    // In the folder that has lost something it is seen.
    device.write(MIB, 4);
    bench.try_receive(&device.increment()).expect_error("era backup --full");
    assert_eq!(bench.snapshots(), 2);
    bench.receive(&device.full());
    // What the device does not have any more stays lost in the points before.
    assert!(bench.dumped("latest") == device.image());
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
