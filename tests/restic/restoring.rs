// SPDX-License-Identifier: GPL-3.0-or-later
//! A point goes back: bit for bit, with holes, and only where it may.

use std::fs;
use std::os::unix::fs::MetadataExt;

use era::restic::archive::Archive;
use era::restic::hashes::write_list;
use era::restic::image::Image;
use era::restic::open::{Opened, open_with};
use era::restic::points::devices;

use crate::bench::{Bench, PASSWORD};
use crate::device::{Device, MIB};

/// Three points of a device that ends in the middle of a segment, and the image of each.
pub fn three_points(bench: &Bench) -> Vec<Vec<u8>> {
    let mut device = Device::new(80 * MIB + 12_288);
    for segment in [0, 1, 70, 71, 79] {
        device.fill(segment, segment + 1);
    }
    device.write(80 * MIB + 4096, 7);
    bench.receive(&device.full());
    let mut images = vec![device.image()];
    device.fill(1, 100);
    device.write(33 * MIB + 8192, 101);
    device.write(80 * MIB, 102);
    bench.receive(&device.increment());
    images.push(device.image());
    device.fill(2, 103);
    for at in (70 * MIB..71 * MIB).step_by(4096) {
        device.write(at, 0);
    }
    bench.receive(&device.increment());
    images.push(device.image());
    images
}

/// The repository of a bench, opened as the program does it.
pub fn opened(bench: &Bench) -> Opened {
    let password = || Ok(rustic_core::Credentials::Password(PASSWORD.into()));
    open_with(&bench.url().parse().unwrap(), password).unwrap().unwrap()
}

pub fn archive(bench: &Bench) -> Archive {
    Archive::new(opened(bench).repository.to_indexed().unwrap())
}

#[test]
fn each_point_is_what_the_device_was() {
    let bench = Bench::new();
    let images = three_points(&bench);
    for (id, image) in bench.ids().iter().zip(&images) {
        assert!(bench.restored(id) == *image, "{id}");
        let blocks = fs::metadata(bench.path("restored")).unwrap().blocks();
        assert!(blocks * 512 < 10 * MIB, "{blocks} blocks");
    }
}

#[test]
fn a_file_that_is_there_is_overwritten_only_if_asked_for() {
    let bench = Bench::new();
    let images = three_points(&bench);
    let target = bench.path("old");
    fs::write(&target, vec![0xaa; 81 << 20]).unwrap();
    bench.run(&["restore", &bench.url(), &target]).expect_error("is there already; pass --force");
    assert!(fs::read(&target).unwrap().iter().all(|byte| *byte == 0xaa));
    bench.ok(&["restore", &bench.url(), &target, "--force"]);
    assert!(fs::read(&target).unwrap() == images[2]);
    let config = bench.repository().join("config");
    let before = fs::read(&config).unwrap();
    for own in [config.clone(), bench.repository().join("new")] {
        bench
            .run(&["restore", &bench.url(), own.to_str().unwrap(), "--force"])
            .expect_error("is a part of the repository");
    }
    assert!(fs::read(&config).unwrap() == before);
    bench.run(&["restore", &bench.url(), "/dev/mapper/none", "--only-changed"]).expect_error("");
}

#[test]
fn a_repository_that_cuts_by_content_works_as_well() {
    let bench = Bench::new();
    bench.output(&["init"]);
    let images = three_points(&bench);
    for (id, image) in bench.ids().iter().zip(&images) {
        assert!(bench.restored(id) == *image, "{id}");
    }
    assert_eq!(bench.run(&["verify", &bench.url(), "--read-data"]).code, Some(0));
}

#[test]
fn differences_are_where_two_points_differ() {
    let bench = Bench::new();
    let images = three_points(&bench);
    let opened = opened(&bench);
    let snapshots = opened.repository.get_all_snapshots().unwrap();
    let device = devices(&snapshots).remove(0);
    let archive = archive(&bench);
    let open = |at: usize| Image::open(&archive, "r", &device.points[at]).unwrap();
    for (a, b) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 1)] {
        let mut chunks = std::collections::BTreeSet::new();
        open(a)
            .differences(&mut open(b), &mut |extent| {
                assert!(extent.len <= 512 << 10, "{extent:?}");
                chunks.insert(extent.offset / (512 << 10));
                Ok(())
            })
            .unwrap();
        let pairs = images[a].chunks(512 << 10).zip(images[b].chunks(512 << 10));
        let expected: std::collections::BTreeSet<_> =
            (0..).zip(pairs).filter(|(_, (a, b))| a != b).map(|(at, _)| at).collect();
        assert_eq!(chunks, expected, "{a} {b}");
    }
}

/// What is told of a device decides what must be there.
#[test]
fn a_snapshot_that_is_not_the_whole_device_is_an_error() {
    let bench = Bench::new();
    three_points(&bench);
    let device = devices(&opened(&bench).repository.get_all_snapshots().unwrap()).remove(0);
    let archive = archive(&bench);
    let whole = device.points[2].mark.device_bytes;
    for (bytes, is_whole) in [
        (whole, true),
        (whole - 1, false),
        (whole + 1, false),
        (whole + MIB, false),
        (whole - MIB, false),
        (MIB, false),
    ] {
        let mut point = device.points[2].clone();
        point.mark.device_bytes = bytes;
        let mut image = Image::open(&archive, "r", &point).unwrap();
        let walked = image.pieces(&|_| true, &mut |_| Ok(()));
        assert_eq!(walked.is_ok(), is_whole, "{bytes}: {walked:?}");
    }
    let mut point = device.points[2].clone();
    point.name = "root".into();
    assert!(Image::open(&archive, "r", &point).unwrap_err().to_string().contains("no folder root.img"));
}

#[test]
fn hashes_are_those_of_the_device() {
    let bench = Bench::new();
    let images = three_points(&bench);
    let device = devices(&opened(&bench).repository.get_all_snapshots().unwrap()).remove(0);
    let archive = archive(&bench);
    for unit in [4096usize, 65_536, 98_304, 4 << 20] {
        let mut image = Image::open(&archive, "r", device.last().unwrap()).unwrap();
        let mut list = Vec::new();
        let progress = era::report::Progress::hidden();
        write_list(&mut image, device.id, unit as u64, &mut list, &progress).unwrap();
        let mut reader = era::stream::HashListReader::new(&list[..]).unwrap();
        assert_eq!(reader.header.device_bytes, images[2].len() as u64);
        for chunk in images[2].chunks(unit) {
            assert_eq!(reader.next_hash().unwrap(), Some(*blake3::hash(chunk).as_bytes()), "{unit}");
        }
        assert_eq!(reader.next_hash().unwrap(), None);
        reader.finish().unwrap();
    }
}
