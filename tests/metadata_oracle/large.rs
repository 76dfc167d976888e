// SPDX-License-Identifier: GPL-3.0-or-later
//! Larger devices: trees of several levels without tricks, and an answer that is quick.

use super::{era_invalidate, our_runs, tools_available};
use crate::era_changed::Runs;
use crate::metadata_builder::image::Image;
use crate::metadata_builder::{Description, Eras, Writeset};

/// Eras and writesets without a pattern that would line up with words or blocks.
fn scattered(nr_blocks: u32) -> Description {
    let mut what = Description::clean(nr_blocks, 60);
    // Multiplicative hashing: the product's upper bits look random.
    what.live.eras = Eras::new(|block| (block.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58).min(50) as u32);
    for era in 51..60 {
        what.live
            .archived
            .insert(era, Writeset::new(nr_blocks, (0..nr_blocks).skip(era as usize).step_by(997)));
    }
    what
}

fn expected(what: &Description, since: u32) -> Runs {
    what.runs(|block| what.live.archived_since(block, since))
}

/// Not assert_eq: of a million runs only the first that differs is of use.
#[track_caller]
fn assert_same(ours: &Runs, expected: &Runs) {
    let blocks = |runs: &Runs| -> u64 { runs.iter().map(|(begin, end)| end - begin).sum() };
    assert_eq!(blocks(ours), blocks(expected), "blocks in total");
    assert_eq!(ours.iter().zip(expected).find(|(ours, expected)| ours != expected), None);
}

#[test]
fn a_million_blocks_agree_with_era_invalidate() {
    let what = scattered(1 << 20);
    let image = Image::build(&what);
    for since in [48, 50, 55] {
        let ours = our_runs(image.path(), since, &[]);
        assert_same(&ours, &expected(&what, since));
        if tools_available() {
            assert_same(&ours, &era_invalidate(image.path(), since));
        }
    }
}

#[test]
fn five_million_blocks_agree_with_the_model() {
    let what = scattered(5_000_000);
    let image = Image::build(&what);
    for since in [0, 45, 51, 60] {
        assert_same(&our_runs(image.path(), since, &[]), &expected(&what, since));
    }
}
