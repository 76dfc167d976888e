// SPDX-License-Identifier: GPL-3.0-or-later
//! What `era points` looks like in a real terminal.

use crate::bench::{Bench, Device};
use crate::oracle_program::available;
use crate::tmux::screen;

#[test]
fn points_have_bars_in_a_terminal_and_fit_it() {
    if !available("tmux", "tmux") {
        return;
    }
    let (mut bench, mut device) = (Bench::new(), Device::new(300_000));
    device.write_some(40);
    let full = device.full();
    bench.receive(&full, &device);
    for round in 0..3 {
        device.write_some(round);
        let increment = device.increment();
        bench.receive(&increment, &device);
    }
    let era = format!("'{}' points '{}'", env!("CARGO_BIN_EXE_era"), bench.path().display());
    for columns in [80, 200] {
        let drawn = screen(columns, 24, &era);
        drawn.assert_nothing_wraps();
        let first = drawn.text.lines().find(|line| line.trim_start().starts_with("1 "));
        let first = first.unwrap_or_else(|| panic!("no point 1: {}", drawn.text));
        assert!(first.contains("###"), "{}", drawn.text);
    }
    let plain = screen(80, 24, &format!("NO_COLOR=1 {era}"));
    assert!(!plain.coloured.contains('\x1b'), "{}", plain.coloured);
    assert!(!bench.run(&["points", "REPO"], b"", None).text().contains('#'));
}
