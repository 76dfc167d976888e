// SPDX-License-Identifier: GPL-3.0-or-later
//! Metadata worth comparing, small enough for era_dump's one line for each bit.

use crate::metadata_builder::{Description, Eras, Writeset};

pub fn all() -> Vec<(String, Description)> {
    let mut shapes = Vec::new();
    // A word of a bitset has 64 bits, a block of the era array 1018 entries.
    for nr_blocks in [1, 63, 64, 65, 1018, 1019] {
        shapes.push((format!("{nr_blocks} blocks"), mixed(nr_blocks)));
    }
    let named = [
        ("24 KiB blocks", Description { block_size_sectors: 48, ..mixed(200) }),
        ("nothing written", Description::clean(1500, 9)),
        ("all blocks written", everything()),
        ("300 writesets", many_writesets()),
        ("half digested", half_digested()),
        ("the device has grown", grown()),
        ("deep trees", Description { node_capacity: Some(3), ..mixed(40_000) }),
    ];
    shapes.extend(named.map(|(name, what)| (name.to_owned(), what)));
    shapes
}

/// Some of everything: eras in the array, two archived writesets, a current one.
pub fn mixed(nr_blocks: u32) -> Description {
    let mut what = Description::clean(nr_blocks, 12);
    what.live.eras = Eras::new(|block| [0, 3, 0, 7, 9][usize::try_from(block % 5).expect("below 5")]);
    what.live.archived.insert(10, Writeset::new(nr_blocks, (0..nr_blocks).step_by(3)));
    what.live.archived.insert(11, Writeset::new(nr_blocks, (0..nr_blocks).filter(|b| b % 64 == 63)));
    what.live.current = Some(Writeset::new(nr_blocks, (0..nr_blocks).rev().step_by(10)));
    what
}

fn everything() -> Description {
    let mut what = Description::clean(1100, 5);
    what.live.eras = Eras::new(|_| 3);
    what.live.archived.insert(4, Writeset::new(1100, 0..1100));
    what
}

/// More than one node can hold: the writeset tree has two levels.
fn many_writesets() -> Description {
    let mut what = Description::clean(130, 400);
    for era in 100..400 {
        what.live.archived.insert(era, Writeset::new(130, [era % 130, era / 7 % 130]));
    }
    what
}

/// The digestion of era 6 has got to block 700: those bits are in the array already, and still in the tree.
fn half_digested() -> Description {
    let mut what = Description::clean(1300, 7);
    what.live.eras = Eras::new(|block| if block < 700 && block % 2 == 0 { 6 } else { 2 });
    what.live.archived.insert(6, Writeset::new(1300, (0..1300).step_by(2)));
    what
}

/// The older writesets know of fewer blocks than there are now.
fn grown() -> Description {
    let mut what = Description::clean(1300, 8);
    what.live.archived.insert(5, Writeset::new(70, [0, 69]));
    what.live.archived.insert(6, Writeset::new(1000, [64, 999]));
    what.live.archived.insert(7, Writeset::new(1300, [1, 1299]));
    what.live.current = Some(Writeset::new(1200, [1199]));
    what
}
