// SPDX-License-Identifier: GPL-3.0-or-later
//! The metadata snapshot: read instead of the live superblock, without its current writeset.

use super::shapes::mixed;
use super::{era_invalidate, our_runs, tools_available};
use crate::era_changed::era_changed;
use crate::metadata_builder::blocks::{Kind, superblock};
use crate::metadata_builder::image::Image;
use crate::metadata_builder::layout::Part;
use crate::metadata_builder::{Description, Eras, State, Writeset};

const SNAPSHOT: &[&str] = &["--metadata-snapshot"];

/// A snapshot of era 9, while the live device is in era 12 and has digested what the snapshot has in writesets.
fn live_and_snapshot() -> Description {
    let nr_blocks = 40_000;
    let mut snapshot = State::clean(9);
    snapshot.eras = Eras::new(|block| if block % 3 == 0 { 4 } else { 0 });
    snapshot.archived.insert(7, Writeset::new(nr_blocks, (0..nr_blocks).step_by(100)));
    snapshot.archived.insert(8, Writeset::new(nr_blocks, 500..600));
    snapshot.current = Some(Writeset::new(nr_blocks, 10_000..30_000));
    Description { snapshot: Some(snapshot), ..mixed(nr_blocks) }
}

fn expected(what: &Description, since: u32) -> Vec<(u64, u64)> {
    let state = what.snapshot.as_ref().expect("there is one");
    what.runs(|block| state.archived_since(block, since))
}

#[test]
fn snapshot_and_live_metadata_are_told_apart() {
    let what = live_and_snapshot();
    let image = Image::build(&what);
    for since in 0..=9 {
        assert_eq!(our_runs(image.path(), since, SNAPSHOT), expected(&what, since), "since {since}");
        let live = what.runs(|block| what.live.changed_since(block, since));
        assert_eq!(our_runs(image.path(), since, &[]), live, "live, since {since}");
    }
}

#[test]
fn era_invalidate_agrees_on_the_snapshot() {
    if !tools_available() {
        return;
    }
    let what = live_and_snapshot();
    let image = Image::build(&what);
    let ours: Vec<_> = (0..=9).map(|since| our_runs(image.path(), since, SNAPSHOT)).collect();
    // Version 0.9 reads block 0 in any case, so the snapshot's superblock has to go there.
    let clone = image.read(image.layout.first(Part::SnapshotSuperblock));
    image.replace(0, Kind::Superblock, clone);
    for (since, ours) in (0..).zip(ours) {
        assert_eq!(ours, era_invalidate(image.path(), since), "since {since}");
    }
}

/// The snapshot does not hold its current writeset: the blocks may have been reused for anything.
#[test]
fn snapshots_current_writeset_is_never_read() {
    let what = live_and_snapshot();
    let image = Image::build(&what);
    // The snapshot is written first, so the first such parts are its own.
    for part in [Part::CurrentIndex, Part::CurrentWords] {
        image.damage(image.layout.first(part), |block| block.fill(0xa5));
    }
    assert_eq!(our_runs(image.path(), 5, SNAPSHOT), expected(&what, 5));
    image.patch(image.layout.first(Part::SnapshotSuperblock), |block| {
        block[superblock::CURRENT_ROOT..superblock::CURRENT_ROOT + 8].fill(0xff);
    });
    assert_eq!(our_runs(image.path(), 5, SNAPSHOT), expected(&what, 5));
}

/// The kernel changes the live trees while a snapshot is read.
#[test]
fn live_trees_do_not_matter_to_the_snapshot() {
    let what = live_and_snapshot();
    let image = Image::build(&what);
    for field in [superblock::WRITESET_TREE_ROOT, superblock::ERA_ARRAY_ROOT, superblock::CURRENT_ROOT] {
        image.damage(image.root(field), |block| block.fill(0xa5));
    }
    assert_eq!(our_runs(image.path(), 5, SNAPSHOT), expected(&what, 5));
}

#[test]
fn eras_that_are_not_known_yet() {
    let image = Image::build(&live_and_snapshot());
    let full_copy = (1, "a full copy is needed");
    // Between the snapshot and the device: somebody left the snapshot behind, and nothing is lost.
    let stale = (2, "drop it and take a new one");
    for (since, more, (code, says)) in [
        (9, SNAPSHOT, (0, "")),
        (10, SNAPSHOT, stale),
        (12, SNAPSHOT, stale),
        (13, SNAPSHOT, full_copy),
        (12, &[], (0, "")),
        (13, &[], full_copy),
    ] {
        let answer = era_changed(image.path(), since, more);
        assert_eq!(answer.code, Some(code), "since {since} {more:?}: {}", answer.stderr);
        assert!(answer.stderr.contains(says), "since {since} {more:?}: {}", answer.stderr);
        assert!(code == 0 || answer.stdout.is_empty(), "{}", answer.stdout);
    }
}
