// SPDX-License-Identifier: GPL-3.0-or-later
//! Metadata that look odd, as the kernel leaves them behind: accepted where they say what is meant.

use super::{era_invalidate, our_runs, tools_available};
use crate::era_changed::era_changed;
use crate::metadata_builder::blocks::{get_u64, node, put_u64};
use crate::metadata_builder::image::Image;
use crate::metadata_builder::layout::Part;
use crate::metadata_builder::{Description, Writeset};

/// A node's first entry is removed when that writeset is digested; the key in the parent stays, and is too low.
#[test]
fn parents_keys_may_be_lower_than_their_childs_first() {
    let mut what = Description::clean(130, 700);
    for era in (100..700).step_by(2) {
        what.live.archived.insert(era, Writeset::new(130, [era % 130]));
    }
    let image = Image::build(&what);
    let root = image.layout.last(Part::WritesetTree);
    assert!(image.layout.all(Part::WritesetTree).len() > 2, "a tree of two levels");
    for entry in [0, 1] {
        image.patch(root, |bytes| {
            let key = get_u64(bytes, node::key(entry));
            put_u64(bytes, node::key(entry), key - 1);
        });
    }
    for since in [0, 100, 401, 698] {
        let expected = what.runs(|block| what.live.archived_since(block, since));
        assert_eq!(our_runs(image.path(), since, &[]), expected, "since {since}");
        if tools_available() {
            assert_eq!(era_invalidate(image.path(), since), expected, "oracles differ, since {since}");
        }
    }
}

/// The kernel digests no bits beyond the end of the device. (era_invalidate 0.9 would list them.)
#[test]
fn a_device_that_has_shrunk_has_no_blocks_beyond_its_end() {
    let mut what = Description::clean(100, 8);
    what.live.archived.insert(6, Writeset::new(5000, [3, 99, 100, 4999]));
    what.live.archived.insert(7, Writeset::new(128, [127]));
    let image = Image::build(&what);
    assert_eq!(our_runs(image.path(), 6, &[]), [(3, 4), (99, 100)]);
    assert_eq!(our_runs(image.path(), 7, &[]), []);
}

/// The table is loaded and the metadata are formatted, but the size is set at the first resume only. Nothing is known of
/// any block then, which must not pass for "nothing changed".
#[test]
fn a_device_that_was_never_resumed_is_refused() {
    let image = Image::build(&Description::clean(0, 0));
    let answer = era_changed(image.path(), 0, &[]);
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""));
    assert!(answer.stderr.contains("never been activated"), "{}", answer.stderr);
}
