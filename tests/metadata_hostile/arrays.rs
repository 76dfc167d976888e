// SPDX-License-Identifier: GPL-3.0-or-later
//! Array blocks and bitsets with wrong sizes. Too few values would be a list without their blocks.

use super::{ARRAYS, NR_BLOCKS, Verdict, names_block, sound};
use crate::era_changed::{era_changed, parse_runs};
use crate::metadata_builder::blocks::{Block, Kind, array, get_u32, node, put_u32, put_u64, superblock};
use crate::metadata_builder::image::Image;
use crate::metadata_builder::layout::Part;

type Edit = fn(&mut Block);

fn add_to_nr_entries(block: &mut Block, difference: i32) {
    let nr_entries = get_u32(block, array::NR_ENTRIES);
    put_u32(block, array::NR_ENTRIES, nr_entries.wrapping_add_signed(difference));
}

/// What is wrong, a word that the message has to have, and the edit.
const DAMAGES: [(&str, &str, Edit); 13] = [
    ("another block's number", "block", |b| put_u64(b, array::BLOCKNR, 1 << 20)),
    ("one entry too few", "entries", |b| add_to_nr_entries(b, -1)),
    ("one entry too many", "entries", |b| add_to_nr_entries(b, 1)),
    ("no entries", "entries", |b| put_u32(b, array::NR_ENTRIES, 0)),
    ("entries without end", "entries", |b| put_u32(b, array::NR_ENTRIES, u32::MAX)),
    ("entries that overflow", "entries", |b| put_u32(b, array::NR_ENTRIES, 1 << 30)),
    ("room for none", "entries", |b| put_u32(b, array::MAX_ENTRIES, 0)),
    ("room beyond the block", "entries", |b| put_u32(b, array::MAX_ENTRIES, 1019)),
    ("room without end", "entries", |b| put_u32(b, array::MAX_ENTRIES, u32::MAX)),
    ("values of 3 bytes", "value", |b| put_u32(b, array::VALUE_SIZE, 3)),
    ("values of 16 bytes", "value", |b| put_u32(b, array::VALUE_SIZE, 16)),
    ("values of no bytes", "value", |b| put_u32(b, array::VALUE_SIZE, 0)),
    ("values without end", "value", |b| put_u32(b, array::VALUE_SIZE, u32::MAX)),
];

#[test]
fn wrong_headers_are_refused() {
    let image = Image::build(&sound());
    let mut verdict = Verdict::default();
    for part in ARRAYS {
        // A full one, and the last, which is not.
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
            image.replace(block, Kind::Node, sound.clone());
            let row = format!("{part:?} {block}, as b-tree node");
            verdict.expect_refusal(&row, image.path(), &[], &[block], "checksum");
            image.write(block, &sound);
        }
    }
    verdict.finish();
}

/// A block of words where eras belong, and the other way round: valid, but of another array.
#[test]
fn blocks_of_the_other_array_are_refused() {
    let image = Image::build(&sound());
    let mut verdict = Verdict::default();
    for (part, other) in [(Part::EraValues, Part::BitsetWords), (Part::BitsetWords, Part::EraValues)] {
        let block = image.layout.first(part);
        let sound = image.read(block);
        image.replace(block, Kind::Array, image.read(image.layout.first(other)));
        let row = format!("{part:?} {block} with a block of {other:?}");
        verdict.expect_refusal(&row, image.path(), &[], &[block], "");
        image.write(block, &sound);
    }
    verdict.finish();
}

/// `nr_bits` of a writeset against its words, of which there are 2188.
#[test]
fn bitsets_with_another_number_of_words_are_refused() {
    let image = Image::build(&sound());
    let mut verdict = Verdict::default();
    let tree = image.layout.first(Part::WritesetTree);
    let archived_bits = node::key(super::CAPACITY); // the first value begins with them
    let places = [
        (tree, archived_bits, Part::BitsetIndex, Part::BitsetWords),
        (0, superblock::CURRENT_NR_BITS, Part::CurrentIndex, Part::CurrentWords),
    ];
    for (block, field, index, words) in places {
        let sound = image.read(block);
        let mut reasonable = vec![block];
        reasonable.extend(image.layout.all(index));
        reasonable.extend(image.layout.all(words));
        for nr_bits in [0, 1, NR_BLOCKS - 64, NR_BLOCKS + 64, 10 * NR_BLOCKS, 1 << 31, u32::MAX] {
            image.patch(block, |bytes| put_u32(bytes, field, nr_bits));
            let row = format!("{index:?} of {nr_bits} bits");
            verdict.expect_refusal(&row, image.path(), &[], &reasonable, "");
            image.write(block, &sound);
        }
    }
    verdict.finish();
}

/// Bits in the last word that stand for no block: refused or left out, but never printed.
#[test]
fn bits_beyond_the_last_block_are_not_printed() {
    let image = Image::build(&sound());
    for part in [Part::BitsetWords, Part::CurrentWords] {
        let block = image.layout.last(part);
        let sound = image.read(block);
        image.patch(block, |bytes| {
            let last = array::VALUES + 8 * (get_u32(bytes, array::NR_ENTRIES) as usize - 1);
            bytes[last..last + 8].fill(0xff);
        });
        let answer = era_changed(image.path(), 4, &[]);
        image.write(block, &sound);
        if answer.code == Some(2) {
            assert!(names_block(&answer.stderr, block), "{}", answer.stderr);
            continue;
        }
        let runs = parse_runs(&answer.success()).expect("a well-formed list");
        assert_eq!(runs.last().map(|run| run.1), Some(NR_BLOCKS.into()), "{part:?}");
    }
}
