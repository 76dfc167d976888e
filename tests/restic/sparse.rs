// SPDX-License-Identifier: GPL-3.0-or-later
//! Large devices that are mostly zeros: nothing is done for each of their segments.

use crate::bench::Bench;
use crate::device::{Device, MIB};

const TIB: u64 = 1 << 40;

#[test]
fn sixteen_tebibytes_of_zeros_are_a_handful_of_trees() {
    let (bench, mut device) = (Bench::new(), Device::new(16 * TIB - 4096));
    for place in [0, 5 * TIB + 17 * MIB, 16 * TIB - 8192] {
        device.write(place, place + 1);
    }
    let added = bench.receive(&device.full());
    assert_eq!((added.segments, added.opened), (16 << 20, 3));
    bench.check_only();
    assert!(bench.size() < 2 * MIB, "{} bytes", bench.size());
    device.write(9 * TIB, 77);
    let before = bench.size();
    let added = bench.receive(&device.increment());
    assert_eq!((added.segments, added.opened), (1, 1));
    bench.check_only();
    assert!(bench.size() - before < 128 << 10, "{} bytes", bench.size() - before);
    // What is there can be found: four folders, each with few entries.
    let listed = String::from_utf8(bench.output(&["ls", "latest", "/vol.img/0024/00/00"])).unwrap();
    assert!(listed.lines().count() < 70 && listed.contains("/vol.img/0024/00/00/00"), "{listed}");
}
