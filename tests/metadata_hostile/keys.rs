// SPDX-License-Identifier: GPL-3.0-or-later
//! Keys of b-trees that do not fit together: nodes that are valid each by itself, and gaps in arrays.

use super::{CAPACITY, NODES, Verdict, sound};
use crate::metadata_builder::blocks::{Block, get_u32, get_u64, node, put_u32, put_u64};
use crate::metadata_builder::image::Image;
use crate::metadata_builder::layout::Part;

type Edit<'a> = &'a dyn Fn(&mut Block);

fn last_key(block: &Block) -> usize {
    node::key(get_u32(block, node::NR_ENTRIES) - 1)
}

/// The n-th child of an internal node.
fn child(node: &Block, n: u32) -> u64 {
    get_u64(node, node::key(CAPACITY) + 8 * n as usize)
}

#[test]
fn children_outside_of_their_parents_range_are_refused() {
    let image = Image::build(&sound());
    let mut verdict = Verdict::default();
    for part in NODES {
        let root = image.layout.last(part);
        let (left, right) = (child(&image.read(root), 0), child(&image.read(root), 1));
        let second_key = get_u64(&image.read(root), node::key(1));
        let rows: [(&str, u64, Edit); 4] = [
            ("left child reaches into the right one", left, &|b| put_u64(b, last_key(b), second_key)),
            ("left child reaches far beyond", left, &|b| put_u64(b, last_key(b), u64::MAX)),
            ("right child begins too low", right, &|b| put_u64(b, node::key(0), second_key - 1)),
            ("the parent's key is too high", root, &|b| put_u64(b, node::key(1), second_key + 1)),
        ];
        for (name, block, edit) in rows {
            let sound = image.read(block);
            image.patch(block, edit);
            let row = format!("{part:?} {block}: {name}");
            verdict.expect_refusal(&row, image.path(), &[], &[left, right, root], "");
            image.write(block, &sound);
        }
    }
    verdict.finish();
}

#[test]
fn gaps_in_arrays_are_refused() {
    let image = Image::build(&sound());
    let mut verdict = Verdict::default();
    for part in [Part::BitsetIndex, Part::CurrentIndex, Part::EraIndex] {
        let root = image.layout.last(part);
        let mut leaf = image.read(root);
        let mut rightmost = root;
        while get_u32(&leaf, node::FLAGS) == node::INTERNAL {
            rightmost = child(&leaf, get_u32(&leaf, node::NR_ENTRIES) - 1);
            leaf = image.read(rightmost);
        }
        let first = image.layout.first(part);
        let drop_last: fn(&mut Block) = |b| put_u32(b, node::NR_ENTRIES, get_u32(b, node::NR_ENTRIES) - 1);
        let shift_last: fn(&mut Block) = |b| put_u64(b, last_key(b), get_u64(b, last_key(b)) + 1);
        let rows = [
            ("an array block is missing in the middle", first, drop_last),
            ("the last array block is missing", rightmost, drop_last),
            ("the last index is one too high", rightmost, shift_last),
            ("an index is far out of range", rightmost, |b| put_u64(b, last_key(b), u64::MAX)),
            ("a subtree is missing at the end", root, drop_last),
        ];
        for (name, block, edit) in rows {
            let sound = image.read(block);
            image.patch(block, edit);
            verdict.expect_refusal(&format!("{part:?} {block}: {name}"), image.path(), &[], &[], "");
            image.write(block, &sound);
        }
    }
    verdict.finish();
}

#[test]
fn eras_that_are_no_eras_are_refused() {
    let image = Image::build(&sound());
    let leaf = image.layout.all(Part::WritesetTree)[1]; // the second: keys may rise
    image.patch(leaf, |bytes| put_u64(bytes, last_key(bytes), 1 << 32));
    let mut verdict = Verdict::default();
    verdict.expect_refusal("era 2^32", image.path(), &[], &[leaf], "key");
    verdict.finish();
}
