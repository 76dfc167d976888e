// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether somebody wrote to a data device behind dm-era's back: a hash over the places that whoever uses a device
//! writes to.
//!
//! It is taken when tracking ends and compared when it begins again. It covers where filesystems, volume managers and
//! swap keep their superblocks, which change when something is mounted for writing; not what else they change,
//! so `Same` is no proof, but `Differs` is.
//!
//! The list of places has a version, which stands beside the hash, and so does the size of the device then: a program
//! with a newer list, or a device that has grown, gives no false alarm. Lists are never changed, only added.

use blake3::{Hash, Hasher};

use crate::blockio::{ReadAt, ReadError, read_extents};
use crate::units::Extent;

/// The newest list, which new fingerprints are made with.
const NEWEST_LIST: u32 = 1;

const MIB: u64 = 1 << 20;

/// Version 1 of the list, of a device of this size. Offsets in bytes:
///
/// | what | where | source |
/// | --- | --- | --- |
/// | ext2, ext3, ext4 | superblock 1024, group descriptors behind it | Documentation/filesystems/ext4/super.rst |
/// | xfs | superblock 0, allocation group 0 behind it | fs/xfs/libxfs/xfs_format.h: `XFS_SB_DADDR`, `XFS_AGF_DADDR` |
/// | btrfs | 64 KiB, 64 MiB, 256 GiB | fs/btrfs/disk-io.h: `btrfs_sb_offset` |
/// | LVM | label in sectors 0 to 3, metadata behind it, up to 1 MiB by default | lib/label/label.c, lvm.conf |
/// | md 1.1, 1.2 | 0, 4 KiB | drivers/md/md.c: `super_1_load` |
/// | md 0.90, 1.0 | the last 64 to 128 KiB, the last 8 to 12 KiB | the same, `super_90_load` |
/// | swap | the first page | include/linux/swap.h: `union swap_header` |
/// | bcache | 4 KiB | drivers/md/bcache/bcache_ondisk.h: `SB_SECTOR` |
/// | LUKS 1, 2 | 0, second copy of LUKS 2 at 16 KiB to 4 MiB, mostly 16 KiB | LUKS2 On-Disk Format Specification |
/// | MBR, GPT | 0, 512; the last 33 sectors | UEFI specification |
///
/// So all of the first and of the last MiB, and btrfs' mirrors.
fn list_1(size: u64) -> Vec<Extent> {
    let mut places = [(0, MIB), (64 * MIB, 4096), (256 * 1024 * MIB, 4096), (size.saturating_sub(MIB), MIB)];
    places.sort_unstable();
    let mut extents = Vec::new();
    let mut done = 0;
    for (offset, len) in places {
        let (begin, end) = (offset.max(done), (offset + len).min(size));
        if begin < end {
            extents.push(Extent { offset: begin, len: end - begin });
            done = end;
        }
    }
    extents
}

/// Where whatever is on a device of this size has its superblocks.
pub fn superblocks(size: u64) -> Vec<Extent> {
    list_1(size)
}

/// The places of a list, `None` for one that this program does not know.
fn places(list: u32, size: u64) -> Option<Vec<Extent>> {
    (list == 1).then(|| list_1(size))
}

/// What a device looked like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Version of the list of places that the hash covers.
    pub list: u32,
    /// Size of the device then, in bytes: some places are counted from the end.
    pub size_bytes: u64,
    /// BLAKE3 of the contents of those places, one after another.
    pub hash: Hash,
}

/// What a fingerprint says about a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// No sign of foreign writes.
    Same,
    /// Somebody wrote to the device, or it is smaller than it was.
    Differs,
    /// The fingerprint was made with a list that this program does not know.
    Unknown,
}

impl Fingerprint {
    /// Takes the fingerprint of a device.
    pub fn of(source: &dyn ReadAt) -> Result<Self, ReadError> {
        let size_bytes = source.size();
        let hash = hash(source, list_1(size_bytes))?;
        Ok(Self { list: NEWEST_LIST, size_bytes, hash })
    }

    /// Compares a device with what it looked like. Growing alone makes no difference.
    pub fn compare(&self, source: &dyn ReadAt) -> Result<Comparison, ReadError> {
        let Some(places) = places(self.list, self.size_bytes) else { return Ok(Comparison::Unknown) };
        if source.size() < self.size_bytes {
            return Ok(Comparison::Differs);
        }
        let same = hash(source, places)? == self.hash;
        Ok(if same { Comparison::Same } else { Comparison::Differs })
    }
}

fn hash(source: &dyn ReadAt, places: Vec<Extent>) -> Result<Hash, ReadError> {
    let mut hasher = Hasher::new();
    read_extents(source, places, |piece| {
        hasher.update(piece.bytes);
        Ok::<_, ReadError>(())
    })?;
    Ok(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blockio::faulty::{Faulty, pattern};

    /// A device of a pattern with one byte changed.
    struct Device {
        size: u64,
        changed: Option<u64>,
    }

    impl ReadAt for Device {
        fn size(&self) -> u64 {
            self.size
        }

        fn align(&self) -> usize {
            512
        }

        fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
            let len = buf.len().min((self.size - offset) as usize);
            for (byte, at) in buf[..len].iter_mut().zip(offset..) {
                *byte = pattern(at) ^ u8::from(self.changed == Some(at));
            }
            Ok(len)
        }
    }

    const TIB: u64 = 1 << 40;

    #[test]
    fn a_write_to_any_superblock_is_seen() {
        let before = Fingerprint::of(&Device { size: TIB, changed: None }).unwrap();
        let compare = |changed| before.compare(&Device { size: TIB, changed }).unwrap();
        assert_eq!(compare(None), Comparison::Same);
        let btrfs = [64 << 10, 64 << 20, 256 << 30];
        let md = [0, 4096, TIB - (64 << 10), TIB - (8 << 10)];
        let others = [1024, 4086, 65526, 16384, TIB - 512, 512];
        for place in btrfs.into_iter().chain(md).chain(others) {
            assert_eq!(compare(Some(place)), Comparison::Differs, "{place}");
        }
        assert_eq!(compare(Some(500 << 30)), Comparison::Same, "data are not looked at");
    }

    #[test]
    fn growing_and_newer_lists_give_no_false_alarm_and_shrinking_is_seen() {
        let mut before = Fingerprint::of(&Device { size: 10 << 20, changed: None }).unwrap();
        let compare = |before: &Fingerprint, size| before.compare(&Device { size, changed: None }).unwrap();
        assert_eq!(compare(&before, TIB), Comparison::Same);
        assert_eq!(compare(&before, (10 << 20) - 512), Comparison::Differs);
        before.list = NEWEST_LIST + 1;
        assert_eq!(compare(&before, 10 << 20), Comparison::Unknown);
    }

    #[test]
    fn places_are_clipped_and_disjoint_at_any_size() {
        let sizes =
            [0, 512, 4096, MIB, MIB + 512, 2 * MIB, 64 * MIB, 64 * MIB + 512, 65 * MIB, TIB, u64::MAX];
        for size in sizes {
            let places = list_1(size);
            assert!(places.windows(2).all(|pair| pair[0].end() <= pair[1].offset), "{size}: {places:?}");
            assert!(places.last().is_none_or(|last| last.end() == size), "{size}: {places:?}");
            assert_eq!(places.is_empty(), size == 0);
        }
    }

    #[test]
    fn a_device_that_cannot_be_read_is_an_error() {
        let mut device = Faulty::new(2 << 20, 512);
        device.bad = Some(Extent { offset: 4096, len: 512 });
        assert_eq!(Fingerprint::of(&device).unwrap_err().offset(), 4096);
    }
}
