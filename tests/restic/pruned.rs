// SPDX-License-Identifier: GPL-3.0-or-later
//! A repository is pruned while a backup ends that counts upon what nobody needed just before.

use std::fs::{self, File};

use crate::bench::Bench;
use crate::device::{Device, MIB};
use crate::pause::Paused;

/// So many days later: what nobody needs is old enough to be marked, or to go when it was marked.
fn later(days: u32) -> [(&'static str, String); 3] {
    let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH);
    assert!(fs::exists(&library).unwrap(), "{library} is not there: apt-get install faketime");
    [("LD_PRELOAD", library), ("FAKETIME", format!("+{days}d")), ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into())]
}

/// A device of which everything was written anew since its first snapshot.
fn all_anew(bench: &Bench) -> Device {
    let mut device = Device::new(8 * MIB);
    for seed in [0, 100] {
        for segment in 0..8 {
            device.fill(segment, 1 + seed + segment);
        }
        bench.receive(&if seed == 0 { device.full() } else { device.increment() });
    }
    device
}

#[test]
fn what_a_backup_counts_upon_is_not_taken_away() {
    let bench = Bench::new();
    let mut device = all_anew(&bench);
    let mut prune = bench.era(&["prune", &bench.url(), "--keep-last", "1"]);
    prune.envs(later(10));
    let prune = Paused::at("restic-pruning", prune);
    assert_eq!(bench.snapshots(), 1);
    // As it was in the first snapshot, whose data nobody needs.
    for segment in 0..8 {
        device.fill(segment, 1 + segment);
    }
    bench.receive(&device.increment());
    let run = prune.go_on();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(bench.restored("latest") == device.image());
    bench.check(&device);
}

#[test]
fn what_was_marked_goes_when_it_is_old() {
    let bench = Bench::new();
    let device = all_anew(&bench);
    let before = bench.size();
    bench.ok(&["prune", &bench.url(), "--keep-last", "1"]);
    assert!(bench.size() + MIB > before, "data of less than a week went");
    for days in [10, 20] {
        let mut prune = bench.era(&["prune", &bench.url(), "--keep-last", "1"]);
        prune.envs(later(days));
        let run = crate::program::run_command(prune, &[]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    }
    assert!(bench.size() + 7 * MIB < before, "nothing was freed");
    bench.check(&device);
}

#[test]
fn a_snapshot_that_lost_its_data_just_now_goes_again() {
    let bench = Bench::new();
    let mut device = all_anew(&bench);
    device.fill(3, 300);
    let stream = bench.path("stream");
    fs::write(&stream, device.increment()).unwrap();
    let mut backup = bench.era(&["receive", "--name", "vol", &bench.url()]);
    backup.stdin(File::open(&stream).unwrap());
    let snapshots = || -> Vec<_> {
        let files = fs::read_dir(bench.repository().join("snapshots")).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    };
    let before = snapshots();
    let backup = Paused::at("restic-written", backup);
    // Who prunes has listed the snapshots before.
    let new = snapshots().into_iter().find(|path| !before.contains(path)).unwrap();
    let aside = bench.path("aside");
    fs::rename(&new, &aside).unwrap();
    bench.output(&["prune"]);
    fs::rename(&aside, &new).unwrap();
    let run = backup.go_on();
    run.expect_error("was pruned while this backup ran");
    assert_eq!(snapshots().len(), before.len());
    bench.check_only();
    let run = crate::program::run_command(
        bench.era(&["receive", "--name", "vol", &bench.url()]),
        &fs::read(&stream).unwrap(),
    );
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    bench.check(&device);
}
