// SPDX-License-Identifier: GPL-3.0-or-later
//! Files that are not, or not wholly, metadata.

use super::{Verdict, sound, sound_with_snapshot};
use crate::era_changed::era_changed;
use crate::metadata_builder::blocks::BLOCK_SIZE;
use crate::metadata_builder::image::Image;
use crate::metadata_builder::layout::Part;
use std::path::Path;
use tempfile::NamedTempFile;

/// All the blocks of these images are in use, so wherever they end, something is missing.
#[test]
fn truncated_files_are_refused() {
    let image = Image::build(&sound());
    let mut verdict = Verdict::default();
    for block in (0..image.nr_blocks()).rev() {
        // Within the block, an odd size, then at its beginning.
        for within in [block % 4095 + 1, 0] {
            let len = block * BLOCK_SIZE as u64 + within;
            image.file().set_len(len).expect("the file is cut");
            verdict.expect_refusal(&format!("{len} bytes"), image.path(), &[], &[], "");
        }
    }
    verdict.finish();
}

#[test]
fn truncated_snapshots_are_refused() {
    let image = Image::build(&sound_with_snapshot());
    let snapshot = image.layout.first(Part::SnapshotSuperblock);
    let mut verdict = Verdict::default();
    image.file().set_len(snapshot * BLOCK_SIZE as u64).expect("the file is cut");
    verdict.expect_refusal(
        "cut before it",
        image.path(),
        &["--metadata-snapshot"],
        &[snapshot],
        "past the end",
    );
    verdict.finish();
}

fn file_of(bytes: &[u8]) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("the file is written");
    file
}

#[test]
fn files_without_metadata_are_refused() {
    let mut verdict = Verdict::default();
    let mut random_looking = vec![0; 64 * BLOCK_SIZE];
    for (i, byte) in (0u32..).zip(&mut random_looking) {
        *byte = (i.wrapping_mul(0x9e37_79b9) >> 24) as u8;
    }
    for (name, bytes, says) in [
        ("empty", vec![], "past the end"),
        ("one byte", vec![0], "past the end"),
        ("4095 zeros", vec![0; BLOCK_SIZE - 1], "past the end"),
        ("zeros", vec![0; 64 * BLOCK_SIZE], "not formatted"),
        ("noise", random_looking, "checksum"),
    ] {
        for more in [&[][..], &["--metadata-snapshot"]] {
            let file = file_of(&bytes);
            verdict.expect_refusal(&format!("{name} {more:?}"), file.path(), more, &[0], says);
        }
    }
    verdict.finish();
}

/// Here there is no block to name.
#[test]
fn what_is_no_file_is_an_error() {
    for path in ["/nonexistent/metadata", "/", "/dev/null"] {
        let answer = era_changed(Path::new(path), 0, &[]);
        assert_eq!(answer.code, Some(2), "{path}: {}", answer.stderr);
        assert!(answer.stdout.is_empty(), "{path}: {}", answer.stdout);
        assert!(answer.stderr.contains(path), "{path}: {}", answer.stderr);
    }
}
