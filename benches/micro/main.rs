// SPDX-License-Identifier: GPL-3.0-or-later
//! How fast the hot loops are by themselves, in memory: `cargo bench --bench micro`.
//!
//! What a whole run costs is measured by `side_by_side`. This tells which part of it became slower. A name after `--`
//! chooses among the loops.

mod loops;
#[path = "../../tests/common/metadata_builder.rs"]
mod metadata_builder;
#[path = "../side_by_side/random.rs"]
mod random;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use loops::{LOOPS, Loop, Unit};

fn main() {
    divan::main();
}

#[divan::bench(args = &LOOPS)]
fn hot(bencher: Bencher, of: &Loop) {
    let mut run = (of.make)();
    let units = of.units;
    match of.unit {
        Unit::Byte => bencher.counter(BytesCount::new(units)).bench_local(&mut run),
        Unit::Block | Unit::Run => bencher.counter(ItemsCount::new(units)).bench_local(&mut run),
    }
}
