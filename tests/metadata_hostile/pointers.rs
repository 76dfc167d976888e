// SPDX-License-Identifier: GPL-3.0-or-later
//! Pointers to where they must not lead: cycles, shared children, blocks of another kind, beyond the end.

use super::{CAPACITY, NODES, Verdict, sound};
use crate::metadata_builder::blocks::{get_u32, get_u64, node, put_u64, superblock};
use crate::metadata_builder::image::Image;
use crate::metadata_builder::layout::Part;
use crate::metadata_builder::trees;

/// Where a node's pointers are: in all values, but those of the writeset tree's leaves begin with the bits' number.
fn pointer(image: &Image, block: u64, n: usize) -> usize {
    let value_size = get_u32(&image.read(block), node::VALUE_SIZE) as usize;
    node::key(CAPACITY) + value_size * n + (value_size - 8)
}

#[test]
fn pointers_to_wrong_places_are_refused() {
    let image = Image::build(&sound());
    let end = image.nr_blocks();
    let mut verdict = Verdict::default();
    for part in NODES {
        let (leaf, root) = (image.layout.first(part), image.layout.last(part));
        for block in [leaf, root] {
            let sound = image.read(block);
            let sibling = get_u64(&sound, pointer(&image, block, 1));
            let mut targets = vec![
                ("itself", block),
                ("the root", root),
                ("the first leaf", leaf),
                ("its sibling", sibling),
                ("the superblock", 0),
                ("the first block past the end", end),
                ("far past the end", u64::MAX),
                // Times 4096 this is 0 in 64 bits.
                ("an offset that overflows", 1 << 52),
            ];
            targets.extend(
                NODES.iter().filter(|&&p| p != part).map(|&p| ("another tree", image.layout.last(p))),
            );
            for (name, target) in targets {
                // The first of two is the one that stays as it was when the pointers are the same.
                let n = usize::from(get_u64(&sound, pointer(&image, block, 0)) == target);
                let field = pointer(&image, block, n);
                image.patch(block, |bytes| put_u64(bytes, field, target));
                let row = format!("{part:?} {block} points to {name}, {target}");
                verdict.expect_refusal(&row, image.path(), &[], &[], "");
                image.write(block, &sound);
            }
        }
    }
    verdict.finish();
}

/// The message leads to the block that is not there.
#[test]
fn blocks_past_the_end_are_named() {
    let image = Image::build(&sound());
    let (leaf, end) = (image.layout.first(Part::EraIndex), image.nr_blocks());
    let field = pointer(&image, leaf, 0);
    image.patch(leaf, |bytes| put_u64(bytes, field, end));
    let mut verdict = Verdict::default();
    verdict.expect_refusal("past the end", image.path(), &[], &[leaf, end], "past the end");
    verdict.finish();
}

#[test]
fn writesets_that_share_a_root_are_refused() {
    let image = Image::build(&sound());
    let leaf = image.layout.first(Part::WritesetTree);
    let roots = [0, 1].map(|n| pointer(&image, leaf, n));
    let shared = get_u64(&image.read(leaf), roots[0]);
    image.patch(leaf, |bytes| put_u64(bytes, roots[1], shared));
    let mut verdict = Verdict::default();
    verdict.expect_refusal("two eras, one bitset", image.path(), &[], &[shared, leaf], "twice");
    verdict.finish();
}

/// Nodes with one child each. A walk that calls itself for each would use up its stack.
#[test]
fn a_tree_of_absurd_depth_is_refused() {
    let mut image = Image::build(&sound());
    for (root_field, part) in
        [(superblock::ERA_ARRAY_ROOT, Part::EraIndex), (superblock::WRITESET_TREE_ROOT, Part::WritesetTree)]
    {
        let mut root = image.root(root_field);
        for _ in 0..5000 {
            let bytes = trees::node_block(node::INTERNAL, CAPACITY, &[(0, root.to_le_bytes())]);
            root = image.append(part, bytes);
        }
        let sound = image.read(0);
        image.patch(0, |bytes| put_u64(bytes, root_field, root));
        let mut verdict = Verdict::default();
        verdict.expect_refusal(&format!("{part:?} of 5000 levels"), image.path(), &[], &[], "depth");
        verdict.finish();
        image.write(0, &sound);
    }
}
