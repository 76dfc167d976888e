// SPDX-License-Identifier: GPL-3.0-or-later
//! Where a byte of a device is in a snapshot. No I/O.
//!
//! `/NAME.img/0000/00/1f/3a` is a segment: a file of 1 MiB. Names are numbers in hexadecimal, relative to their folder and of the
//! same length in it, so that a walk in the order of names is one in the order of the device, and folders of the same contents
//! are the same tree, stored once.
//!
//! A folder has 64 entries: what a change uploads besides its data is one leaf of some 14 KiB before compression and three folders of
//! some 10 KiB, which other changes nearby share. The topmost has as many entries as the device has 256 GiB: 64 at 16 TiB. A
//! segment has 1 MiB: two chunks of 512 KiB, so that its name and times weigh little beside the names of its chunks, and a small
//! change reads no more than 1 MiB.

use std::ops::Range;
use std::path::PathBuf;

use anyhow::bail;

use crate::units::Extent;

/// Bytes of a segment; the last one of a device may have fewer.
pub const SEGMENT_BYTES: u64 = 1 << 20;

/// Folders from the topmost to a segment.
pub const LEVELS: usize = 4;

/// Entries of a folder; the topmost may have more.
pub const ENTRIES: u64 = 64;

/// Entries that the topmost folder can have: its names have four digits.
const TOP_ENTRIES: u64 = 1 << 16;

/// How a device is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    device_bytes: u64,
}

impl Layout {
    /// That of a device of this size.
    pub fn new(device_bytes: u64) -> anyhow::Result<Self> {
        let most = TOP_ENTRIES * span(0) * SEGMENT_BYTES;
        if device_bytes == 0 || device_bytes > most {
            bail!(
                "a device of {device_bytes} bytes cannot be kept in a restic repository: from 1 to {most} are needed"
            );
        }
        Ok(Self { device_bytes })
    }

    /// Size of the device.
    pub fn device_bytes(&self) -> u64 {
        self.device_bytes
    }

    /// Number of segments.
    pub fn segments(&self) -> u64 {
        self.device_bytes.div_ceil(SEGMENT_BYTES)
    }

    /// Where a segment is on the device.
    pub fn extent(&self, segment: u64) -> Extent {
        let offset = segment * SEGMENT_BYTES;
        Extent { offset, len: SEGMENT_BYTES.min(self.device_bytes - offset) }
    }

    /// The segments below the entry of a folder, of which the first segment and the level are given; none where the device has ended.
    pub fn below(&self, level: usize, first: u64, entry: u64) -> Range<u64> {
        let begin = (first + entry * span(level)).min(self.segments());
        begin..(begin + span(level)).min(self.segments())
    }

    /// The number of entries of such a folder.
    pub fn entries(&self, level: usize, first: u64) -> u64 {
        let most = if level == 0 { TOP_ENTRIES } else { ENTRIES };
        (self.segments() - first).div_ceil(span(level)).min(most)
    }

    /// Whether the entry of a folder is whole: the device does not end in it.
    pub fn is_whole(&self, level: usize, below: &Range<u64>) -> bool {
        below.end - below.start == span(level) && below.end * SEGMENT_BYTES <= self.device_bytes
    }
}

/// Segments below an entry of a folder at a level; 0 is the topmost.
pub fn span(level: usize) -> u64 {
    (level + 1..LEVELS).map(|_| ENTRIES).product()
}

/// The name of an entry.
pub fn entry_name(level: usize, entry: u64) -> String {
    if level == 0 { format!("{entry:04x}") } else { format!("{entry:02x}") }
}

/// The name of the topmost folder of a device.
pub fn image_name(device: &str) -> String {
    format!("{device}.img")
}

/// Its path in a snapshot.
pub fn image_path(device: &str) -> PathBuf {
    PathBuf::from("/").join(image_name(device))
}

/// The entries that lead to a segment, from the topmost folder on.
pub fn entries_to(segment: u64) -> [u64; LEVELS] {
    let mut rest = segment;
    std::array::from_fn(|level| {
        let entry = rest / span(level);
        rest %= span(level);
        entry
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(segment: u64) -> String {
        let entries = entries_to(segment);
        (0..LEVELS).map(|level| entry_name(level, entries[level])).collect::<Vec<_>>().join("/")
    }

    #[test]
    fn names_ascend_as_the_device_does() {
        assert_eq!(name(0), "0000/00/00/00");
        assert_eq!(name(63), "0000/00/00/3f");
        assert_eq!(name(64), "0000/00/01/00");
        assert_eq!(name((16 << 20) - 1), "003f/3f/3f/3f");
        let segments = [0, 1, 63, 64, 4095, 4096, 262_143, 262_144, 16_777_215];
        let names: Vec<_> = segments.iter().map(|&segment| name(segment)).collect();
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn folders_end_with_the_device() {
        let layout = Layout::new(65 * SEGMENT_BYTES + 1).unwrap();
        assert_eq!(layout.segments(), 66);
        assert_eq!(layout.extent(65), Extent { offset: 65 * SEGMENT_BYTES, len: 1 });
        assert_eq!((layout.entries(0, 0), layout.entries(1, 0), layout.entries(2, 0)), (1, 1, 2));
        assert_eq!((layout.entries(3, 0), layout.entries(3, 64)), (64, 2));
        assert_eq!(layout.below(2, 0, 0), 0..64);
        assert_eq!(layout.below(2, 0, 1), 64..66);
        assert!(layout.below(2, 0, 2).is_empty());
        assert!(layout.is_whole(2, &(0..64)) && !layout.is_whole(2, &(64..66)));
        assert!(layout.is_whole(3, &(64..65)) && !layout.is_whole(3, &(65..66)));
    }

    #[test]
    fn sixteen_tebibytes_have_small_folders() {
        let layout = Layout::new(16 << 40).unwrap();
        assert_eq!(layout.entries(0, 0), 64);
        assert!(Layout::new(0).is_err() && Layout::new(u64::MAX).is_err());
        Layout::new(16 << 50).unwrap();
    }
}
