// SPDX-License-Identifier: GPL-3.0-or-later
//! Which metadata snapshot a device holds, so that ours is told from another program's.
//!
//! The kernel says where it is. That is not enough: a place that has become free is used again. But taking one begins a
//! new era, so that the era in its superblock is that of no other.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, bail};

use super::disk::path_of;
use super::dm::Dm;
use super::table::Target;
use crate::blockio::Source;
use crate::metadata::snapshot_at;
use crate::units::Era;

/// A metadata snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    location: u64,
    era: Era,
}

impl Held {
    /// The one that an active device holds, which must not be suspended.
    pub fn of(dm: &Dm, name: &str) -> anyhow::Result<Option<Self>> {
        let Some(location) = dm.era_status(name)?.snapshot else { return Ok(None) };
        let (_, Target::Era { metadata, .. }) = dm.table(name)? else {
            bail!("{name}: this is not a dm-era device");
        };
        let path = path_of(metadata)?;
        let path = || path.display().to_string();
        let source = Source::open_metadata(path().as_ref(), false).with_context(path)?;
        match snapshot_at(&source, location) {
            Ok(superblock) => Ok(Some(Self { location, era: superblock.current_era })),
            // Somebody has dropped it since.
            Err(_) if dm.era_status(name)?.snapshot != Some(location) => Ok(None),
            Err(e) => Err(e).with_context(path),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.location, self.era)
    }
}

impl FromStr for Held {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (location, era) = text.split_once(' ').unwrap_or((text, ""));
        Ok(Self { location: location.parse()?, era: Era(era.parse()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        let held = Held { location: 17, era: Era(4) };
        assert_eq!(held.to_string().parse(), Ok(held));
        for bad in ["", " ", "17", "17 ", " 4", "17 4 5", "x y"] {
            assert!(bad.parse::<Held>().is_err(), "{bad:?}");
        }
    }
}
