// SPDX-License-Identifier: GPL-3.0-or-later
//! Blocks that the disk does not give: an error that names the block, even where many are read by one request.

use super::sound;
use crate::metadata_builder::blocks::BLOCK_SIZE;
use crate::metadata_builder::image::Image;
use era::blockio::ReadAt;
use era::metadata::{ChangedError, Problem, View, changed_since};
use era::units::Era;
use std::io;
use std::os::unix::fs::FileExt;

struct BadBlock<'a> {
    image: &'a Image,
    bad: u64,
}

impl ReadAt for BadBlock<'_> {
    fn size(&self) -> u64 {
        self.image.nr_blocks() * BLOCK_SIZE as u64
    }

    fn align(&self) -> usize {
        BLOCK_SIZE
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let bad = self.bad * BLOCK_SIZE as u64;
        if offset <= bad && bad < offset + buf.len() as u64 {
            return Err(io::Error::other("a bad sector"));
        }
        self.image.file().read_at(buf, offset)
    }
}

#[test]
fn unreadable_blocks_are_named() {
    let image = Image::build(&sound());
    for bad in 0..image.nr_blocks() {
        match changed_since(&BadBlock { image: &image, bad }, View::Offline, Era(0)) {
            Err(ChangedError::Metadata(e)) => {
                assert_eq!(e.block, bad, "{e}");
                assert!(matches!(e.problem, Problem::Unreadable(_)), "{bad}: {e}");
            }
            other => panic!("block {bad} cannot be read: {:?}", other.map(|changed| changed.blocks.len())),
        }
    }
}
