// SPDX-License-Identifier: GPL-3.0-or-later
//! Generated metadata, with the model as oracle. It always asks the array as well as the writesets.

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

/// What the kernel makes of some eras: those up to `digested` are in the array, the others are archived, and of
/// the oldest of these the blocks up to some block are in the array, too.
fn state(nr_blocks: u32) -> impl Strategy<Value = State> {
    let eras = btree_map(1..CURRENT_ERA, writeset(nr_blocks), 0..9);
    let current = proptest::option::of(writeset(nr_blocks));
    (eras, 0..CURRENT_ERA, 0..=nr_blocks, current).prop_map(|(mut eras, digested, half_way, current)| {
        let archived = eras.split_off(&(digested + 1));
        let half = archived.first_key_value().map(|(&era, writeset)| (era, writeset.clone()));
        let era_of = move |block: u64| {
            let block = u32::try_from(block).expect("small");
            let half = half.iter().find(|(_, w)| block < half_way && w.contains(block)).map(|half| half.0);
            half.or(eras.iter().rev().find(|(_, w)| w.contains(block)).map(|(&era, _)| era)).unwrap_or(0)
        };
        State { current_era: CURRENT_ERA, archived, current, eras: Eras::new(era_of) }
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
