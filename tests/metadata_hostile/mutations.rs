// SPDX-License-Identifier: GPL-3.0-or-later
//! Random bytes in random places, with right checksums: whatever comes of it, the program ends by itself, and
//! with an answer that can be read or an error.

use super::sound_with_snapshot;
use crate::era_changed::{era_changed, parse_runs};
use crate::metadata_builder::image::Image;
use crate::metadata_builder::{Description, Writeset};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Which block, where in it, and the new byte. Mostly where headers, keys and the first values are.
fn mutation() -> impl Strategy<Value = (Index, usize, u8)> {
    let at = prop_oneof![4 => 4..120usize, 2 => 120..230usize, 1 => 230..4096usize];
    let byte = prop_oneof![Just(0), Just(1), Just(2), Just(0x80), Just(0xff), any::<u8>()];
    (any::<Index>(), at, byte)
}

fn description() -> Description {
    let mut what = sound_with_snapshot();
    for era in 3..8 {
        what.live.archived.insert(era, Writeset::new(9000, [era, 64 * era, 1018 * era]));
    }
    what
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_metadata_give_an_answer_or_an_error(mutations in vec(mutation(), 1..5), since in 0..12u32) {
        let image = Image::build(&description());
        for (block, at, byte) in &mutations {
            let block = block.index(image.layout.parts.len()) as u64;
            image.patch(block, |bytes| bytes[*at] = *byte);
        }
        for more in [&[][..], &["--metadata-snapshot"]] {
            let answer = era_changed(image.path(), since, more);
            match answer.code {
                Some(0) => prop_assert!(parse_runs(&answer.stdout).is_ok(), "{:?}", parse_runs(&answer.stdout)),
                // A full copy is needed: the current era is what was mutated, or `since` is above it.
                Some(1) => prop_assert!(answer.stdout.is_empty() && answer.stderr.contains("full copy")),
                Some(2) => prop_assert!(answer.stdout.is_empty() && answer.stderr.contains("block ")),
                other => prop_assert!(false, "exit {other:?}: {}", answer.stderr),
            }
        }
    }
}
