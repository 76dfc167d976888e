// SPDX-License-Identifier: GPL-3.0-or-later
//! Superblocks that make no sense, live ones and those of a metadata snapshot.

use super::{Verdict, sound_with_snapshot};
use crate::metadata_builder::blocks::{Block, put_u32, put_u64, superblock as sb};
use crate::metadata_builder::image::Image;
use crate::metadata_builder::layout::Part;

type Edit = fn(&mut Block);

/// What is wrong, a word that the message has to have, and the edit: fields of the superblock itself.
const DAMAGES: [(&str, &str, Edit); 16] = [
    ("another block's number", "block", |b| put_u64(b, sb::BLOCKNR, 5)),
    ("another magic number", "magic", |b| b[sb::MAGIC] ^= 1),
    ("thin-pool's magic number", "magic", |b| put_u64(b, sb::MAGIC, 27_022_010)),
    ("version 0", "version", |b| put_u32(b, sb::VERSION, 0)),
    ("version 2", "version", |b| put_u32(b, sb::VERSION, 2)),
    ("data blocks of 0 sectors", "size", |b| put_u32(b, sb::DATA_BLOCK_SIZE, 0)),
    ("data blocks of 12 sectors", "size", |b| put_u32(b, sb::DATA_BLOCK_SIZE, 12)),
    ("data blocks of 2^32 - 1 sectors", "size", |b| put_u32(b, sb::DATA_BLOCK_SIZE, u32::MAX)),
    ("metadata blocks of 0 sectors", "size", |b| put_u32(b, sb::METADATA_BLOCK_SIZE, 0)),
    ("metadata blocks of 16 sectors", "size", |b| put_u32(b, sb::METADATA_BLOCK_SIZE, 16)),
    ("2^31 data blocks", "blocks", |b| put_u32(b, sb::NR_BLOCKS, 1 << 31)),
    ("2^32 - 1 data blocks", "blocks", |b| put_u32(b, sb::NR_BLOCKS, u32::MAX)),
    // A tiny metadata device cannot hold the array of such a device.
    ("2^31 - 1 data blocks", "blocks", |b| put_u32(b, sb::NR_BLOCKS, (1 << 31) - 1)),
    ("10 million data blocks", "blocks", |b| put_u32(b, sb::NR_BLOCKS, 10_000_000)),
    ("no data blocks", "block", |b| put_u32(b, sb::NR_BLOCKS, 0)),
    ("some data blocks too many", "block", |b| put_u32(b, sb::NR_BLOCKS, 12_000)),
];

/// The live superblock and the snapshot's: their block, and the argument that makes it be read.
fn superblocks(image: &Image) -> [(u64, &'static [&'static str]); 2] {
    [(0, &[]), (image.layout.first(Part::SnapshotSuperblock), &["--metadata-snapshot"])]
}

#[test]
fn wrong_fields_are_refused() {
    let image = Image::build(&sound_with_snapshot());
    let mut verdict = Verdict::default();
    for (block, more) in superblocks(&image) {
        let sound = image.read(block);
        for (name, says, edit) in DAMAGES {
            image.patch(block, edit);
            let mut reasonable = vec![block];
            if name.contains("no data blocks") || name.contains("some data blocks") {
                // It takes a look at the array to find these.
                reasonable.extend(image.layout.all(Part::EraIndex));
                reasonable.extend(image.layout.all(Part::EraValues));
            }
            verdict.expect_refusal(&format!("{block}: {name}"), image.path(), more, &reasonable, says);
            image.write(block, &sound);
        }
    }
    verdict.finish();
}

#[test]
fn wrong_roots_are_refused() {
    let image = Image::build(&sound_with_snapshot());
    let end = image.nr_blocks();
    let [tree, array, values] =
        [Part::WritesetTree, Part::EraIndex, Part::EraValues].map(|part| image.layout.last(part));
    let mut verdict = Verdict::default();
    for (block, more) in superblocks(&image) {
        let sound = image.read(block);
        let everywhere = [block, end, u64::MAX, 1 << 52, values];
        let mut rows = vec![
            ("writeset tree", sb::WRITESET_TREE_ROOT, [&everywhere[..], &[0, array]].concat()),
            ("era array", sb::ERA_ARRAY_ROOT, [&everywhere[..], &[0, tree]].concat()),
        ];
        if block == 0 {
            // A snapshot's is not read. But for that, 0 is what the kernel writes when it has archived the writeset.
            rows.push(("current writeset", sb::CURRENT_ROOT, [&everywhere[1..], &[tree, array]].concat()));
        }
        for (name, field, targets) in rows {
            for target in targets {
                image.patch(block, |bytes| put_u64(bytes, field, target));
                verdict.expect_refusal(&format!("{block}: {name} at {target}"), image.path(), more, &[], "");
                image.write(block, &sound);
            }
        }
    }
    verdict.finish();
}

#[test]
fn wrong_snapshot_pointers_are_refused() {
    let image = Image::build(&sound_with_snapshot());
    let end = image.nr_blocks();
    let mut verdict = Verdict::default();
    let [node, values] = [Part::EraIndex, Part::EraValues].map(|part| image.layout.first(part));
    for (name, target, says) in [
        ("none is held", 0, "no metadata snapshot"),
        ("a b-tree node", node, "checksum"),
        ("an array block", values, "checksum"),
        ("the first block past the end", end, "past the end"),
        ("far past the end", u64::MAX, "past the end"),
        ("an offset that overflows", 1 << 52, "past the end"),
    ] {
        image.patch(0, |bytes| put_u64(bytes, sb::METADATA_SNAP, target));
        let row = format!("snapshot pointer: {name}");
        verdict.expect_refusal(&row, image.path(), &["--metadata-snapshot"], &[0, target], says);
    }
    verdict.finish();
}
