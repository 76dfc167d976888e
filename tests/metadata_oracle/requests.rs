// SPDX-License-Identifier: GPL-3.0-or-later
//! How the device is read: each block once, and neighbours together. A request for each block would take a disk many
//! times as long.

use crate::metadata_builder::blocks::BLOCK_SIZE;
use crate::metadata_builder::image::Image;
use crate::metadata_builder::{Description, Eras, Writeset};
use era::blockio::ReadAt;
use era::metadata::{View, changed_since};
use era::units::Era;
use std::cell::RefCell;
use std::io;
use std::os::unix::fs::FileExt;

/// Notes which blocks were read by each request.
struct Counting<'a> {
    image: &'a Image,
    requests: RefCell<Vec<std::ops::Range<u64>>>,
}

impl ReadAt for Counting<'_> {
    fn size(&self) -> u64 {
        self.image.nr_blocks() * BLOCK_SIZE as u64
    }

    fn align(&self) -> usize {
        BLOCK_SIZE
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.image.file().read_at(buf, offset)?;
        let block = BLOCK_SIZE as u64;
        self.requests.borrow_mut().push(offset / block..(offset + read as u64).div_ceil(block));
        Ok(read)
    }
}

#[test]
fn every_block_is_read_once_and_neighbours_together() {
    let mut what = Description::clean(1_000_000, 9);
    what.live.eras = Eras::new(|block| (block % 7) as u32);
    what.live.archived.insert(8, Writeset::new(1_000_000, (0..1_000_000).step_by(99)));
    let image = Image::build(&what);
    let device = Counting { image: &image, requests: RefCell::default() };
    let answer = changed_since(&device, View::Offline, Era(5)).expect("sound metadata");
    let expected = what.runs(|block| what.live.changed_since(block, 5));
    assert!(answer.blocks.runs().map(|run| (run.begin, run.end)).eq(expected));

    let requests = device.requests.into_inner();
    let mut read: Vec<u64> = requests.iter().cloned().flatten().collect();
    read.sort_unstable();
    assert_eq!(read, (0..image.nr_blocks()).collect::<Vec<_>>(), "each block, once");
    assert!(requests.len() * 16 < read.len(), "{} requests for {} blocks", requests.len(), read.len());
}
