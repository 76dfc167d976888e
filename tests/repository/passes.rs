// SPDX-License-Identifier: GPL-3.0-or-later
//! A stream of several passes has a block more than once: what it had last is what the point has.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::bench::{BLOCK, Bench, Device};

/// Blocks that are more than one batch of the receiver, so that what comes before them is written before what comes after.
const BATCH: u64 = 8200;

/// The first blocks hold data, and behind them there is room for a batch.
fn ready() -> (Bench, Device) {
    let (mut bench, mut device) = (Bench::new(), Device::new(((40 + BATCH) * BLOCK) as usize));
    (0..40).for_each(|block| device.write(block, false));
    let full = device.full();
    bench.receive(&full, &device);
    (bench, device)
}

fn fill_a_batch(device: &mut Device) {
    for block in 40..40 + BATCH {
        // Fast, and not zeros.
        device.write(block, true);
        device.bytes[(block * BLOCK) as usize] = 1;
    }
}

#[test]
fn zeros_in_one_pass_and_data_in_a_later_one() {
    let (mut bench, mut device) = ready();
    let stream = device.in_passes(&[
        &|device| {
            (0..32).for_each(|block| device.write(block, true));
            fill_a_batch(device);
        },
        // At the beginning, in the middle and at the end of what was zeros.
        &|device| [0, 7, 8, 19, 31].into_iter().for_each(|block| device.write(block, false)),
    ]);
    bench.receive(&stream, &device);
    bench.check_tidy();
}

#[test]
fn data_in_one_pass_and_zeros_in_a_later_one() {
    let (mut bench, mut device) = ready();
    let before = fs::metadata(bench.file("image")).unwrap().blocks();
    let stream = device.in_passes(&[
        &|device| {
            (0..32).for_each(|block| device.write(block, false));
            fill_a_batch(device);
        },
        &|device| (0..32).for_each(|block| device.write(block, true)),
    ]);
    bench.receive(&stream, &device);
    bench.check_tidy();
    // The zeros take no room.
    let blocks = fs::metadata(bench.file("image")).unwrap().blocks();
    assert!(blocks <= before + (BATCH - 32) * BLOCK / 512 + 64, "{blocks}");
}
