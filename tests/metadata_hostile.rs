// SPDX-License-Identifier: GPL-3.0-or-later
//! Damaged metadata: `era changed` must refuse them, naming the block and what is wrong with it. It must not
//! panic, hang, take much memory, or leave blocks out of its list, which would be a backup without them.
//!
//! Most of the damage has right checksums: what a bug of the kernel or of a repair tool would leave behind.
#![allow(missing_docs)] // a test target has no users

#[path = "common/era_changed.rs"]
mod era_changed;
#[path = "common/metadata_builder.rs"]
mod metadata_builder;

#[path = "metadata_hostile/arrays.rs"]
mod arrays;
#[path = "metadata_hostile/files.rs"]
mod files;
#[path = "metadata_hostile/keys.rs"]
mod keys;
#[path = "metadata_hostile/mutations.rs"]
mod mutations;
#[path = "metadata_hostile/nodes.rs"]
mod nodes;
#[path = "metadata_hostile/pointers.rs"]
mod pointers;
#[path = "metadata_hostile/superblock.rs"]
mod superblock;
#[path = "metadata_hostile/unreadable.rs"]
mod unreadable;

use era_changed::era_changed;
use metadata_builder::image::Image;
use metadata_builder::layout::Part;
use metadata_builder::{Description, Eras, State, Writeset};
use std::path::Path;

/// The parts that are b-tree nodes, and those that are array blocks.
const NODES: [Part; 4] = [Part::WritesetTree, Part::BitsetIndex, Part::CurrentIndex, Part::EraIndex];
const ARRAYS: [Part; 3] = [Part::BitsetWords, Part::CurrentWords, Part::EraValues];

/// `max_entries` of the nodes here: all b-trees have at least two levels, the era array's has five.
const CAPACITY: u32 = 3;

const NR_BLOCKS: u32 = 140_000;

/// Valid metadata to be damaged.
fn sound() -> Description {
    let mut live = State::clean(10);
    live.eras = Eras::new(|block| if block % 4 == 0 { 3 } else { 0 });
    for era in 5..10 {
        live.archived.insert(era, Writeset::new(NR_BLOCKS, (0..NR_BLOCKS).step_by(1000)));
    }
    live.current = Some(Writeset::new(NR_BLOCKS, [0, NR_BLOCKS - 1]));
    Description { node_capacity: Some(CAPACITY), live, ..Description::clean(NR_BLOCKS, 10) }
}

/// The same with a metadata snapshot, smaller.
fn sound_with_snapshot() -> Description {
    let writeset = Writeset::new(9000, [0, 8999]);
    let mut state = State::clean(10);
    state.archived.insert(8, writeset.clone());
    state.current = Some(writeset);
    Description {
        node_capacity: Some(CAPACITY),
        live: state.clone(),
        snapshot: Some(state),
        ..Description::clean(9000, 10)
    }
}

/// Collects what went wrong in a table of damages, so that one bad row does not hide the others.
#[derive(Default)]
struct Verdict {
    rows: usize,
    failures: Vec<String>,
}

impl Verdict {
    /// Expects a refusal that names one of these blocks. Where several are given, it is a matter of taste whether
    /// the pointer is wrong or what it points to; where none, any block will do.
    fn expect_refusal(&mut self, row: &str, image: &Path, more: &[&str], blocks: &[u64], says: &str) {
        self.rows += 1;
        // All eras, so that no archived writeset is left out.
        let answer = era_changed(image, 0, more);
        let named = match blocks {
            [] => answer.stderr.contains("block "),
            _ => blocks.iter().any(|&block| names_block(&answer.stderr, block)),
        };
        let file = image.to_str().expect("a UTF-8 path");
        let wrong = match () {
            () if answer.code != Some(2) => format!("exit {:?}, not 2", answer.code),
            () if !answer.stdout.is_empty() => format!("{} bytes on stdout", answer.stdout.len()),
            () if !answer.stderr.contains(file) => "the message does not name the file".to_owned(),
            () if !named => format!("the message does not name a block of {blocks:?}"),
            () if !answer.stderr.contains(says) => format!("the message does not say {says:?}"),
            () => return,
        };
        self.failures.push(format!("{row}: {wrong}: {}", answer.stderr.trim_end()));
    }

    fn finish(self) {
        assert!(self.rows > 0, "no row was tried");
        let (rows, failures) = (self.rows, &self.failures);
        assert!(failures.is_empty(), "{} of {rows} rows:\n{}", failures.len(), failures.join("\n"));
    }
}

fn names_block(message: &str, block: u64) -> bool {
    let words: Vec<&str> = message.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    words.windows(2).any(|pair| pair[0] == "block" && pair[1] == block.to_string())
}

/// Damages must be all that is wrong.
#[test]
fn undamaged_metadata_are_accepted() {
    for what in [sound(), sound_with_snapshot()] {
        let image = Image::build(&what);
        era_changed(image.path(), 0, &[]).success();
        if what.snapshot.is_some() {
            era_changed(image.path(), 0, &["--metadata-snapshot"]).success();
        }
    }
}

/// One byte, anywhere, in any block that is read: the checksum finds it.
#[test]
fn a_changed_byte_in_any_block_is_found() {
    let image = Image::build(&sound());
    let mut verdict = Verdict::default();
    for block in 0..image.nr_blocks() {
        expect_byte_found(&mut verdict, &image, block, &[]);
    }
    verdict.finish();
}

#[test]
fn a_changed_byte_in_any_block_of_the_snapshot_is_found() {
    let image = Image::build(&sound_with_snapshot());
    let mut verdict = Verdict::default();
    // The snapshot is written first, its superblock last. Its current writeset must not be read.
    for block in 0..=image.layout.first(Part::SnapshotSuperblock) {
        let index = usize::try_from(block).expect("a small image");
        if !matches!(image.layout.parts[index], Part::CurrentIndex | Part::CurrentWords) {
            expect_byte_found(&mut verdict, &image, block, &["--metadata-snapshot"]);
        }
    }
    verdict.finish();
}

fn expect_byte_found(verdict: &mut Verdict, image: &Image, block: u64, more: &[&str]) {
    let sound = image.read(block);
    // Another offset in each block, so that all the fields have their turn.
    let at = usize::try_from(block * 997 % 4096).expect("below 4096");
    image.damage(block, |bytes| bytes[at] ^= 0x10);
    verdict.expect_refusal(&format!("byte {at} of {block}"), image.path(), more, &[block], "checksum");
    image.write(block, &sound);
}
