// SPDX-License-Identifier: GPL-3.0-or-later
//! Generated metadata, with the model as oracle.

use super::our_runs;
use crate::metadata_builder::image::Image;
use crate::metadata_builder::{Description, Eras, State, Writeset};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

const CURRENT_ERA: u32 = 12;

/// A writeset of a device that may have grown since. Up to four runs of bits: single bits, words, whole blocks.
fn writeset(nr_blocks: u32) -> impl Strategy<Value = Writeset> {
    (1..=nr_blocks, vec((0..nr_blocks, 1..=nr_blocks), 0..4)).prop_map(|(nr_bits, runs)| {
        let blocks =
            runs.into_iter().flat_map(move |(begin, len)| begin..begin.saturating_add(len).min(nr_bits));
        Writeset::new(nr_bits, blocks)
    })
}

fn state(nr_blocks: u32) -> impl Strategy<Value = State> {
    let eras = vec(0..CURRENT_ERA, 1..40);
    let archived = btree_map(1..CURRENT_ERA, writeset(nr_blocks), 0..6);
    let current = proptest::option::of(writeset(nr_blocks));
    (eras, archived, current).prop_map(|(eras, archived, current)| State {
        current_era: CURRENT_ERA,
        archived,
        current,
        eras: Eras::new(move |block| eras[usize::try_from(block).expect("small") % eras.len()]),
    })
}

fn description() -> impl Strategy<Value = Description> {
    (1..5000u32).prop_flat_map(|nr_blocks| {
        let capacity = select(vec![None, Some(3), Some(6)]);
        (state(nr_blocks), proptest::option::of(state(nr_blocks)), capacity, 1..4096u32).prop_map(
            move |(live, snapshot, node_capacity, size)| Description {
                block_size_sectors: 8 * size,
                nr_blocks,
                live,
                snapshot,
                node_capacity,
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_metadata_agree_with_the_model(what in description(), since in 0..=CURRENT_ERA) {
        let image = Image::build(&what);
        let live = what.runs(|block| what.live.changed_since(block, since));
        prop_assert_eq!(our_runs(image.path(), since, &[]), live);
        if let Some(state) = &what.snapshot {
            let held = what.runs(|block| state.archived_since(block, since));
            prop_assert_eq!(our_runs(image.path(), since, &["--metadata-snapshot"]), held);
        }
    }
}
