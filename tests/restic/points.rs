// SPDX-License-Identifier: GPL-3.0-or-later
//! What there is, and how it is named.

use crate::bench::Bench;
use crate::device::{Device, MIB};

/// Two devices in one repository: vol with two points, and root with one. Returns the images of their last points.
fn two_devices(bench: &Bench) -> (Vec<u8>, Vec<u8>) {
    let (mut vol, mut root) = (Device::new(10 * MIB), Device::new(5 * MIB));
    root.identity = 0xd2;
    vol.fill(2, 1);
    bench.receive_as("vol", &vol.full());
    root.fill(1, 2);
    bench.receive_as("root", &root.full());
    vol.fill(3, 3);
    bench.receive_as("vol", &vol.increment());
    (vol.image(), root.image())
}

#[test]
fn points_have_the_fields_of_a_directory_and_names_that_can_be_given_back() {
    let (bench, mut device) = (Bench::new(), Device::new(10 * MIB));
    device.fill(2, 1);
    bench.receive(&device.full());
    device.fill(3, 2);
    bench.receive(&device.increment());
    let of_restic = bench.points().remove(0);
    // The same streams into a directory.
    let directory = bench.path("directory");
    let mut device = Device::new(10 * MIB);
    device.fill(2, 1);
    for stream in [device.full(), {
        device.fill(3, 2);
        device.increment()
    }] {
        let run = crate::program::run_command(bench.era(&["receive", &directory]), &stream);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    }
    let of_directory: serde_json::Value =
        serde_json::from_str(&bench.ok(&["points", &directory, "--json"])).unwrap();
    for (key, value) in of_directory.as_object().unwrap() {
        let same = ["cursor", "device", "device_bytes"].contains(&key.as_str());
        assert!(of_restic.get(key).is_some_and(|other| !same || other == value), "{key}: {of_restic}");
    }
    for (ours, theirs) in
        of_restic["points"].as_array().unwrap().iter().zip(of_directory["points"].as_array().unwrap())
    {
        for (key, value) in theirs.as_object().unwrap() {
            let same = ["time", "kind", "consistency", "device_bytes", "passes"].contains(&key.as_str());
            assert!(ours.get(key).is_some_and(|other| !same || other == value), "{key}: {ours}");
        }
    }
    let cursor = bench.ok(&["points", &bench.url(), "--cursor"]);
    assert_eq!(cursor.trim_end(), of_restic["cursor"].as_str().unwrap());

    let text = bench.ok(&["points", &bench.url()]);
    let ids = bench.ids();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.lines().next().unwrap().trim_start().starts_with("point  time"), "{text}");
    for (id, line) in ids.iter().zip(text.lines().skip(1)) {
        assert!(line.contains(id.as_str()), "{text}");
    }
    // restic calls them the same.
    let listed = String::from_utf8(bench.output(&["snapshots"])).unwrap();
    assert!(ids.iter().all(|id| listed.contains(id.as_str())), "{listed}");
    let first = of_restic["points"][0]["time"].as_str().unwrap();
    let oldest = bench.restored(&ids[0]);
    assert!(oldest == bench.restored("latest~1") && oldest == bench.restored(first));
    assert!(bench.restored(&ids[1][..4]) == device.image() && oldest != device.image());
}

#[test]
fn of_several_devices_one_must_be_named() {
    let bench = Bench::new();
    let (vol, root) = two_devices(&bench);
    let (url, target) = (bench.url(), bench.path("target"));
    let devices = bench.points();
    let names: Vec<_> = devices.iter().map(|device| device["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["root", "vol"]);
    let text = bench.ok(&["points", &url]);
    assert!(text.contains("root (") && text.contains("vol ("), "{text}");
    assert_eq!(bench.ok(&["points", &url, "--device", "vol"]).lines().count(), 3);
    let host = devices[0]["host"].as_str().unwrap();
    assert_eq!(bench.ok(&["points", &url, "--device", &format!("{host}:root")]).lines().count(), 2);
    let mountpoint = bench.path("mountpoint");
    std::fs::create_dir(&mountpoint).unwrap();
    for args in [
        &["restore", &url, &target][..],
        &["mount", &url, &mountpoint],
        &["prune", &url, "--keep-last", "1"],
        &["points", &url, "--cursor"],
    ] {
        let run = bench.run(args);
        assert_eq!(run.code, Some(2), "{args:?}");
        assert!(run.stderr.contains("pass --device NAME. There are root (0000"), "{}", run.stderr);
    }
    assert!(!std::fs::exists(&target).unwrap());
    for (name, image) in [("vol", &vol), ("root", &root), ("00000000-0000-0000-0000-0000000000d2", &root)] {
        let _ = std::fs::remove_file(&target);
        bench.ok(&["restore", &url, "--device", name, &target]);
        assert!(std::fs::read(&target).unwrap() == *image, "{name}");
    }
    // An id is of one device only.
    let id = devices[0]["points"][0]["id"].as_str().unwrap();
    assert!(bench.restored(id) == root);
    bench
        .run(&["restore", &url, "--device", "home", &target])
        .expect_error("there is no device home; there are root");
}

#[test]
fn where_nothing_is() {
    let (bench, mut device) = (Bench::new(), Device::new(MIB));
    let (url, target) = (bench.url(), bench.path("target"));
    bench.run(&["points", &url]).expect_error("there is no repository; era backup --init makes one");
    bench.output(&["init"]);
    let run = bench.run(&["points", &url]);
    assert_eq!((run.code, run.stdout.len()), (Some(1), 0), "{}", run.stderr);
    bench.run(&["restore", &url, &target]).expect_error("there are no points yet");
    device.fill(0, 1);
    bench.receive(&device.full());
    for (point, says) in [
        ("latest~1", "there is no point latest~1 of vol; there are 1"),
        ("feedbeef", "there is no point feedbeef"),
        ("2020-01-01", "there is no point"),
        ("yesterday", "\"yesterday\" is no point"),
    ] {
        bench.run(&["restore", &format!("{url}@{point}"), &target]).expect_error(says);
    }
    assert!(!std::fs::exists(&target).unwrap());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (bench, mut device) = (Bench::new(), Device::new(MIB));
    device.fill(0, 1);
    bench.receive(&device.full());
    let directory = bench.path("directory");
    let run = crate::program::run_command(bench.era(&["receive", &directory]), &Device::new(MIB).full());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let (url, before) = (bench.url(), bench.size());
    let at = format!("{url}@latest");
    for (args, says) in [
        (&["verify", &url, "vol", "--repair"][..], "--repair is for directories"),
        (&["verify", &url, "host:vol"], "run era verify there"),
        (&["verify", &at], "name the repository alone"),
        (&["verify", &directory, "--read-data"], "--read-data is for restic repositories"),
        (&["prune", &at, "--keep-last", "1"], "name the repository alone"),
        (&["prune", &url], "nothing says what to keep"),
        (&["hashes", &url], "era verify only"),
        (&["points", &directory, "--device", "vol"], "--device is for restic repositories"),
        (
            &["restore", &directory, &bench.path("x"), "--device", "vol"],
            "--device is for restic repositories",
        ),
        (
            &["prune", &directory, "--device", "vol", "--keep-last", "1"],
            "--device is for restic repositories",
        ),
        (&["verify", &directory, "--device", "vol"], "--device is for restic repositories"),
    ] {
        bench.run(args).expect_error(says);
    }
    assert_eq!((bench.size(), bench.snapshots()), (before, 1));
}
