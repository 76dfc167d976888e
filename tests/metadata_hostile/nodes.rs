// SPDX-License-Identifier: GPL-3.0-or-later
//! B-tree nodes with wrong headers.

use super::{CAPACITY, NODES, Verdict, sound};
use crate::metadata_builder::blocks::{Block, Kind, node, put_u32, put_u64};
use crate::metadata_builder::image::Image;

type Edit = fn(&mut Block);

/// What is wrong, a word that the message has to have, and the edit.
const DAMAGES: [(&str, &str, Edit); 16] = [
    ("another block's number", "block", |b| put_u64(b, node::BLOCKNR, 1 << 20)),
    ("no flags", "flags", |b| put_u32(b, node::FLAGS, 0)),
    ("both flags", "flags", |b| put_u32(b, node::FLAGS, node::INTERNAL | node::LEAF)),
    ("an unknown flag", "flags", |b| b[node::FLAGS] |= 4),
    ("no entries", "entries", |b| put_u32(b, node::NR_ENTRIES, 0)),
    ("one entry too many", "entries", |b| put_u32(b, node::NR_ENTRIES, CAPACITY + 1)),
    ("entries without end", "entries", |b| put_u32(b, node::NR_ENTRIES, u32::MAX)),
    ("room for none", "entries", |b| put_u32(b, node::MAX_ENTRIES, 0)),
    ("room beyond the block", "entries", |b| put_u32(b, node::MAX_ENTRIES, 255)),
    // 2^29 keys of 8 bytes are 2^32 bytes: nothing, to who counts in 32 bits.
    ("room that overflows", "entries", |b| put_u32(b, node::MAX_ENTRIES, 1 << 29)),
    ("room without end", "entries", |b| put_u32(b, node::MAX_ENTRIES, u32::MAX)),
    ("values of 4 bytes", "value", |b| put_u32(b, node::VALUE_SIZE, 4)),
    ("values of 16 bytes", "value", |b| put_u32(b, node::VALUE_SIZE, 16)),
    ("values of no bytes", "value", |b| put_u32(b, node::VALUE_SIZE, 0)),
    ("equal keys", "key", |b| b.copy_within(node::key(0)..node::key(1), node::key(1))),
    ("a descending key", "key", |b| put_u64(b, node::key(0), 1 << 40)),
];

#[test]
fn wrong_headers_are_refused() {
    let image = Image::build(&sound());
    let mut verdict = Verdict::default();
    for part in NODES {
        // A leaf and the root.
        for block in [image.layout.first(part), image.layout.last(part)] {
            let sound = image.read(block);
            for (name, says, edit) in DAMAGES {
                image.patch(block, edit);
                verdict.expect_refusal(
                    &format!("{part:?} {block}, {name}"),
                    image.path(),
                    &[],
                    &[block],
                    says,
                );
                image.write(block, &sound);
            }
        }
    }
    verdict.finish();
}

/// A leaf for an internal node, the other way round, and an array block for a node. Only what such a node leads to
/// may be strange, so any block can be named.
#[test]
fn nodes_of_another_kind_are_refused() {
    let image = Image::build(&sound());
    let mut verdict = Verdict::default();
    for part in NODES {
        for block in [image.layout.first(part), image.layout.last(part)] {
            let sound = image.read(block);
            image.patch(block, |bytes| bytes[node::FLAGS] ^= 3);
            verdict.expect_refusal(&format!("{part:?} {block}, flags swapped"), image.path(), &[], &[], "");
            image.replace(block, Kind::Array, sound.clone());
            let row = format!("{part:?} {block}, as array block");
            verdict.expect_refusal(&row, image.path(), &[], &[block], "checksum");
            image.write(block, &sound);
        }
    }
    verdict.finish();
}
