// SPDX-License-Identifier: GPL-3.0-or-later
//! The image while a stream goes into it: zeros become holes, but only when nothing has to be undone any more.
//!
//! A full disk is what most often breaks a run off. What it had overwritten is then put back, and that must not need room
//! that is not there: so a range that held data keeps its room until the new point is there.

use std::path::Path;

use anyhow::bail;

use super::file::RepoFile;
use super::layout;
use crate::report;
use crate::stream::is_zero;
use crate::units::Extent;

/// Holes are made of this size; smaller ones would break the image into pieces.
const HOLE_BYTES: usize = 64 << 10;

/// Ranges that are remembered until the end: a MiB of them. Further ones become holes at once.
const MAX_HELD: usize = 1 << 16;

/// Refuses an image that has not all of the device: what is missing would become zeros.
pub fn check_whole(image: &RepoFile, device_bytes: u64) -> anyhow::Result<()> {
    let has = image.len()?;
    if has < device_bytes {
        bail!(
            "{}: has {has} bytes, must have {device_bytes}: it was cut short; put it back, or fill it with what the device \
             still has, with era verify REPO SOURCE --repair",
            image.path().display()
        );
    }
    Ok(())
}

/// An image that is being overwritten.
pub struct Overwriter {
    /// The file itself.
    pub image: RepoFile,
    /// Whether what is overwritten may have to be put back.
    may_be_undone: bool,
    /// Ranges that were zeros when they were written, and still have room.
    held: Vec<Extent>,
}

impl Overwriter {
    /// Opens the image of a repository, of which a new one is made only where there is nothing yet to be undone.
    pub fn open(repository: &Path, may_be_undone: bool) -> anyhow::Result<Self> {
        let path = layout::image(repository);
        let image = if may_be_undone { RepoFile::open_there(&path) } else { RepoFile::open(&path) }?;
        Ok(Self { image, may_be_undone, held: Vec::new() })
    }

    /// Writes; where there are zeros, there will be holes.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
        let mut at = 0;
        let chunks: Vec<(bool, usize)> = bytes.chunks(HOLE_BYTES).map(|c| (is_zero(c), c.len())).collect();
        for run in chunks.chunk_by(|a, b| a.0 == b.0) {
            let len: usize = run.iter().map(|(_, len)| len).sum();
            if run[0].0 {
                self.zero(Extent { offset: offset + at as u64, len: len as u64 })?;
            } else {
                self.image.write(&bytes[at..at + len], offset + at as u64)?;
            }
            at += len;
        }
        Ok(())
    }

    /// Makes a range read as zeros.
    pub fn zero(&mut self, extent: Extent) -> anyhow::Result<()> {
        if self.may_be_undone {
            // What is a hole already has no room to keep.
            if self.image.next_data(extent.offset)?.is_none_or(|data| data >= extent.end()) {
                return Ok(());
            }
            let follows = self.held.last().is_some_and(|last| last.end() == extent.offset);
            if follows || self.held.len() < MAX_HELD {
                self.image.zero_in_place(extent)?;
                match self.held.last_mut().filter(|_| follows) {
                    Some(last) => last.len += extent.len,
                    None => self.held.push(extent),
                }
                return Ok(());
            }
        }
        self.image.zero(extent)
    }

    /// The new point is there: zeros become holes.
    pub fn give_back(&mut self) {
        for extent in std::mem::take(&mut self.held) {
            // It costs room, nothing else.
            if let Err(e) = self.punch_zeros(extent) {
                report::warn(format_args!("{e:#}"));
                return;
            }
        }
    }

    /// Makes holes of what is zeros in a range. A later pass of the stream may have brought data for some of it: what is
    /// there by now decides, not what was noted.
    fn punch_zeros(&self, extent: Extent) -> anyhow::Result<()> {
        let mut buf = vec![0; HOLE_BYTES];
        let mut zeros = Extent { offset: extent.offset, len: 0 };
        while zeros.end() < extent.end() {
            let len = (extent.end() - zeros.end()).min(HOLE_BYTES as u64);
            let piece = &mut buf[..usize::try_from(len)?];
            self.image.read(piece, zeros.end())?;
            if is_zero(piece) {
                zeros.len += len;
            } else {
                self.punch(zeros)?;
                zeros = Extent { offset: zeros.end() + len, len: 0 };
            }
        }
        self.punch(zeros)
    }

    fn punch(&self, extent: Extent) -> anyhow::Result<()> {
        if extent.len == 0 { Ok(()) } else { self.image.zero(extent) }
    }
}
