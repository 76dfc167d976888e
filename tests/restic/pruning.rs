// SPDX-License-Identifier: GPL-3.0-or-later
//! Old points go, and nothing else.

use crate::bench::Bench;
use crate::device::{Device, MIB};
use crate::program::run_command;

/// Points at these hours of a device, in the repository and in a directory beside it.
fn both(bench: &Bench, hours: &[i64]) -> Vec<Vec<u8>> {
    let mut device = Device::new(4 * MIB);
    // Of the past, all of them.
    let begin = device.time - 20_000 * 3600;
    let mut images = Vec::new();
    for (count, hour) in (0..).zip(hours) {
        device.time = begin + hour * 3600;
        device.fill(count % 4, count + 1);
        let stream = if count == 0 { device.full() } else { device.increment() };
        bench.receive(&stream);
        let run = run_command(bench.era(&["receive", &bench.path("directory")]), &stream);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        images.push(device.image());
    }
    images
}

/// The times in lines such as "point 3 of TIME goes".
fn times(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split(' ').nth(3).unwrap()).collect()
}

#[test]
fn the_rules_keep_what_they_keep_in_a_directory() {
    let bench = Bench::new();
    let hours = [0, 1, 5, 20, 26, 50, 51, 200, 400, 800, 801, 2000, 9000];
    let images = both(&bench, &hours);
    let (url, directory) = (bench.url(), bench.path("directory"));
    for rule in [
        &["--keep-last", "3"][..],
        &["--keep-daily", "4"],
        &["--keep-weekly", "3", "--keep-last", "2"],
        &["--keep-monthly", "2", "--keep-yearly", "5"],
        &["--keep-within", "300d"],
        &["--keep-within", "2w", "--keep-daily", "2"],
    ] {
        let ours = bench.ok(&[&["prune", &url, "--dry-run"], rule].concat());
        let theirs = bench.ok(&[&["prune", &directory, "--dry-run"], rule].concat());
        assert_eq!(times(&ours), times(&theirs), "{rule:?}");
        assert!(!times(&ours).is_empty() && ours.contains("would go"), "{rule:?}");
    }
    assert_eq!(bench.ids().len(), hours.len());
    let before = bench.ids();
    let said = bench.ok(&["prune", &url, "--keep-last", "2", "--keep-yearly", "1"]);
    assert_eq!(said.lines().count(), hours.len() - 2, "{said}");
    assert_eq!(bench.ids(), before[before.len() - 2..]);
    for (id, image) in bench.ids().iter().zip(&images[hours.len() - 2..]) {
        assert!(bench.restored(id) == *image, "{id}");
    }
    bench.check_only();
    assert_eq!(bench.run(&["verify", &url, "--read-data"]).code, Some(0));
    // The next backup goes on.
    bench.ok(&["prune", &url, "--keep-last", "1"]);
    assert!(bench.restored("latest") == images[hours.len() - 1]);
}

#[test]
fn what_is_not_of_the_device_stays() {
    let (bench, mut device, mut other) = (Bench::new(), Device::new(4 * MIB), Device::new(4 * MIB));
    other.identity = 0xd2;
    for count in 0..3 {
        device.fill(count, 10 + count);
        other.fill(count, 20 + count);
        let (a, b) =
            if count == 0 { (device.full(), other.full()) } else { (device.increment(), other.increment()) };
        bench.receive_as("vol", &a);
        bench.receive_as("other", &b);
    }
    std::fs::write(bench.path("file"), "somebody else's").unwrap();
    let mut backup = bench.restic(&["backup", "file"]);
    assert!(backup.current_dir(bench.dir.path()).output().unwrap().status.success());
    assert_eq!(bench.snapshots(), 7);
    bench.ok(&["prune", &bench.url(), "--device", "vol", "--keep-daily", "1", "--keep-weekly", "1"]);
    assert_eq!(bench.snapshots(), 5);
    let counts: Vec<_> =
        bench.points().iter().map(|device| device["points"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [3, 1]);
    bench.check_only();
    assert_eq!(bench.output(&["dump", "--path", &bench.path("file"), "latest", "file"]), b"somebody else's");
    for (name, image) in [("vol", device.image()), ("other", other.image())] {
        let target = bench.path(name);
        bench.ok(&["restore", &bench.url(), "--device", name, &target]);
        assert!(std::fs::read(&target).unwrap() == image, "{name}");
    }
    device.fill(3, 99);
    bench.receive_as("vol", &device.increment());
}

#[test]
fn what_was_made_last_stays_and_is_the_next_parent_whatever_its_clock_said() {
    let (bench, mut device) = (Bench::new(), Device::new(8 * MIB));
    device.fill(0, 1);
    bench.receive(&device.full());
    device.fill(1, 2);
    bench.receive(&device.increment());
    device.time -= 86_400;
    device.fill(2, 3);
    bench.receive(&device.increment());
    // By their times, it is the oldest.
    let ids = bench.ids();
    bench.ok(&["prune", &bench.url(), "--keep-last", "1"]);
    assert_eq!(bench.ids(), [ids[0].clone(), ids[2].clone()]);
    // Of the other one, what changed in between would be missing.
    device.fill(3, 4);
    bench.receive(&device.increment());
    let added = bench.ids().into_iter().find(|id| !ids.contains(id)).unwrap();
    assert!(bench.restored(&added) == device.image());
}

#[test]
fn nothing_goes_from_what_may_only_be_added_to() {
    let bench = Bench::new();
    both(&bench, &[0, 1, 2]);
    let mut repository = crate::restoring::opened(&bench).repository;
    repository.apply_config(&rustic_core::ConfigOptions::default().set_append_only(true)).unwrap();
    let before = bench.size();
    bench.run(&["prune", &bench.url(), "--keep-last", "1"]).expect_error("the repository is append-only");
    assert_eq!((bench.size(), bench.snapshots()), (before, 3));
    bench.ok(&["prune", &bench.url(), "--keep-last", "1", "--dry-run"]);
    let mut device = Device::new(4 * MIB);
    device.time += 9000;
    bench.receive(&device.full());
    assert_eq!(bench.snapshots(), 4);
}

#[test]
fn nothing_is_freed_where_the_storage_does_not_list_all() {
    let bench = Bench::new();
    both(&bench, &[0, 1, 2]);
    // A list leaves out what it cannot tell the size of.
    let pack = bench.repository().join("data/00").join("0".repeat(64));
    std::fs::create_dir_all(pack.parent().unwrap()).unwrap();
    std::fs::File::create(&pack).unwrap().set_len(5 << 30).unwrap();
    let files = || std::fs::read_dir(bench.repository().join("index")).unwrap().count();
    let before = files();
    let run = bench.run(&["prune", &bench.url(), "--keep-last", "1"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("list of all files of type `Pack` is not whole"), "{}", run.stderr);
    assert_eq!((files(), bench.snapshots()), (before, 1));
}
