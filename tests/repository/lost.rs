// SPDX-License-Identifier: GPL-3.0-or-later
//! Files of a repository that are not there any more, or not all of them: nothing is added to what is left as if all were well.

use std::fs;
use std::os::unix::fs::symlink;

use crate::bench::{Bench, Device};

/// Two points, and a stream that is to be the third.
fn ready() -> (Bench, Device, Vec<u8>) {
    let (mut bench, mut device) = (Bench::new(), Device::new(200_000));
    (0..30).for_each(|block| device.write(block, false));
    let full = device.full();
    bench.receive(&full, &device);
    device.write(7, false);
    let increment = device.increment();
    bench.receive(&increment, &device);
    device.write(9, false);
    let stream = device.increment();
    (bench, device, stream)
}

#[test]
fn what_is_missing_is_not_made_anew() {
    for name in ["image", "hashes"] {
        let (mut bench, device, stream) = ready();
        let (path, kept) = (bench.file(name), bench.path().join("../kept"));
        fs::rename(&path, &kept).unwrap();
        bench.run(&["receive", "REPO"], &stream, None).expect_error(&format!("repo/{name}: "));
        assert!(!path.exists(), "{name}");
        // As that of an image on a disk that is not plugged in.
        let elsewhere = bench.path().join("../elsewhere");
        symlink(&elsewhere, &path).unwrap();
        bench.run(&["receive", "REPO"], &stream, None).expect_error(&format!("repo/{name}: "));
        assert!(!elsewhere.exists(), "{name}");
        fs::remove_file(&path).unwrap();
        fs::rename(&kept, &path).unwrap();
        bench.receive(&stream, &device);
        bench.check_tidy();
    }
}

#[test]
fn what_was_cut_short_is_not_filled_with_zeros() {
    for name in ["image", "hashes"] {
        let (mut bench, device, stream) = ready();
        let path = bench.file(name);
        let whole = fs::read(&path).unwrap();
        for len in [0, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..len]).unwrap();
            let out = bench.run(&["receive", "REPO"], &stream, None);
            let says = format!("repo/{name}: has {len} bytes, must have {}", whole.len());
            out.expect_error(&says);
            if name == "image" {
                // Nor does a stream of differences to what it should hold do that.
                bench.run(&["hashes", "REPO"], b"", None).expect_error(&says);
            }
            assert_eq!(fs::read(&path).unwrap().len(), len, "{name}");
        }
        fs::write(&path, &whole).unwrap();
        bench.receive(&stream, &device);
        bench.check_tidy();
    }
}

#[test]
fn a_run_is_not_undone_in_an_image_that_is_not_there() {
    let (bench, _, stream) = ready();
    let crashed = bench.broken_off(&stream);
    let (image, kept) = (crashed.file("image"), crashed.path().join("../kept"));
    fs::rename(&image, &kept).unwrap();
    crashed.run(&["prune", "--keep-last", "9", "REPO"], b"", None).expect_error("repo/image: ");
    assert!(!image.exists() && crashed.file("undo/2-3").exists());
    fs::rename(&kept, &image).unwrap();
    let out = crashed.run(&["prune", "--keep-last", "9", "REPO"], b"", None);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    crashed.check_tidy();
}

#[test]
fn what_the_device_still_has_fills_an_image_that_was_cut_short() {
    let (mut bench, mut device, _) = ready();
    device.bytes.clone_from(&bench.kept[1].1);
    let image = bench.file("image");
    fs::File::options().write(true).open(&image).unwrap().set_len(50_000).unwrap();
    let out = bench.run(&["hashes", "--reread", "REPO"], b"", None);
    assert_eq!(out.code, Some(1), "{}", out.stderr);
    let stream = device.difference(&out.stdout, &fs::read(&image).unwrap());
    bench.receive(&stream, &device);
    bench.check_tidy();
}
