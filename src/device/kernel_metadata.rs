// SPDX-License-Identifier: GPL-3.0-or-later
//! dm-era's own metadata while nobody uses them: whether they are still those that the header knows.
//!
//! They do not say whose they are, and the kernel makes new ones, with eras that begin at 1, wherever it finds zeros. So
//! the header keeps the last era that was seen. What is younger than that was made anew, or is an older state, and
//! cursors mean something else there.

use std::fmt;
use std::io;

use anyhow::Context;

use super::disk::Disk;
use super::header::Header;
use crate::blockio::{ReadAt, WriteAt};
use crate::metadata::{self, MetadataError, Problem};
use crate::units::{Era, Extent};

/// What the kernel looks at to tell whether metadata are there: zeros mean that it makes them new.
const SUPERBLOCK_BYTES: u64 = 4096;

/// What is in the place of the metadata.
#[derive(Debug)]
pub enum Found {
    /// Zeros: the kernel makes metadata of a new life when the device is opened.
    Zeros,
    /// Metadata in this era.
    InEra(Era),
    /// Nothing that the kernel would open for this device.
    Unfit(String),
}

/// Why metadata cannot be those that the header knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// Somebody zeroed them.
    Zeroed,
    /// They are of an earlier era than the last one that was seen.
    Older {
        /// Their era.
        found: Era,
        /// The last one that was seen.
        recorded: Era,
    },
    /// The kernel would not open them.
    Unfit(String),
}

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Replaced::Zeroed => write!(f, "dm-era's metadata were zeroed"),
            Replaced::Older { found, recorded } => write!(
                f,
                "dm-era's metadata are of era {found}, and were of era {recorded} before: they were made anew, or set back \
                 to an older state"
            ),
            Replaced::Unfit(problem) => {
                write!(f, "dm-era's metadata were damaged or overwritten ({problem})")
            }
        }
    }
}

/// Where the superblock of the metadata is.
pub fn superblock(header: &Header) -> Extent {
    Extent { offset: header.layout.metadata.offset, len: SUPERBLOCK_BYTES }
}

/// Looks at the metadata of a device that is not active. A disk that cannot be read is an error: that may pass.
pub fn look(disk: &Disk, header: &Header) -> anyhow::Result<Found> {
    let part = Part { disk, extent: header.layout.metadata };
    match metadata::superblock(&part) {
        Ok(superblock) if superblock.block_size != header.block_size => {
            let (found, expected) = (superblock.block_size.bytes(), header.block_size.bytes());
            Ok(Found::Unfit(format!("its blocks are of {found} bytes, not of {expected}")))
        }
        Ok(superblock) => Ok(Found::InEra(superblock.current_era)),
        Err(MetadataError { problem: Problem::Unformatted, .. }) => Ok(Found::Zeros),
        Err(e @ MetadataError { problem: Problem::Unreadable(_), .. }) => {
            Err(e).with_context(|| disk.path.display().to_string())
        }
        Err(e) => Ok(Found::Unfit(e.to_string())),
    }
}

impl Found {
    /// The era to record before the kernel opens these: it only grows from here.
    pub fn era(&self) -> Era {
        match self {
            Found::InEra(era) => *era,
            Found::Zeros | Found::Unfit(_) => Era(0),
        }
    }

    /// Whether they cannot be what the header knows. Before the kernel opened them for the first time it knows no era,
    /// and they are to be zeros.
    pub fn replaced(&self, recorded: Option<Era>) -> Option<Replaced> {
        match (self, recorded) {
            (Found::Zeros, None) => None,
            (Found::Zeros, Some(_)) => Some(Replaced::Zeroed),
            (Found::InEra(found), Some(recorded)) if *found < recorded => {
                Some(Replaced::Older { found: *found, recorded })
            }
            (Found::InEra(_), _) => None,
            (Found::Unfit(problem), _) => Some(Replaced::Unfit(problem.clone())),
        }
    }
}

/// Has the kernel make new metadata.
pub fn forget(disk: &Disk, header: &Header) -> io::Result<()> {
    disk.zero(superblock(header))?;
    disk.sync()
}

/// A part of a disk as a device of its own.
struct Part<'a> {
    disk: &'a Disk,
    extent: Extent,
}

impl ReadAt for Part<'_> {
    fn size(&self) -> u64 {
        self.extent.len
    }

    fn align(&self) -> usize {
        self.disk.align()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(self.extent.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = buf.len().min(left);
        self.disk.read_at(&mut buf[..len], self.extent.offset + offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_life_goes_on() {
        let era = |era| Found::InEra(Era(era));
        let unfit = Found::Unfit("x".into());
        assert_eq!(Found::Zeros.replaced(None), None);
        assert_eq!(Found::Zeros.replaced(Some(Era(0))), Some(Replaced::Zeroed));
        assert_eq!(era(7).replaced(None), None);
        assert_eq!(era(7).replaced(Some(Era(7))), None);
        assert_eq!(era(8).replaced(Some(Era(7))), None);
        assert_eq!(era(6).replaced(Some(Era(7))), Some(Replaced::Older { found: Era(6), recorded: Era(7) }));
        assert!(unfit.replaced(None).is_some() && unfit.replaced(Some(Era(1))).is_some());
    }
}
