// SPDX-License-Identifier: GPL-3.0-or-later
//! Devices that change their size between runs.

use crate::bench::{Bench, Device};

#[test]
fn a_device_of_every_size_after_every_other() {
    // With and without a part of a block at the end.
    let sizes = [40_960, 45_000, 45_001, 90_112, 40_000, 40_960, 4096, 100, 60_000];
    let (mut bench, mut device) = (Bench::new(), Device::new(sizes[0]));
    device.write_some(8);
    let full = device.full();
    bench.receive(&full, &device);
    for len in sizes {
        device.resize(len);
        let increment = device.increment();
        bench.receive(&increment, &device);
        device.write_some(2);
        let increment = device.increment();
        bench.receive(&increment, &device);
    }
    bench.check_tidy();
}
