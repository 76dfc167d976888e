// SPDX-License-Identifier: GPL-3.0-or-later
//! The kernel's text for tables and status lines of the targets in our stack, both ways.
//!
//! What is written here is compared with what the kernel prints, so each type's `Display` is exactly the kernel's
//! `dmsetup table` text, without the leading start, length and target name.

use std::fmt;
use std::str::FromStr;

use devicemapper::Device;
use thiserror::Error;

/// A text of the kernel that is not what this version of `era` knows, or that says of what use a device is: of none.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BadText {
    /// Not known.
    #[error("the kernel says {text:?}, which is no {what}")]
    Unknown {
        /// What it should be.
        what: &'static str,
        /// What it is.
        text: String,
    },
    /// dm-era's word when it cannot read or write its own metadata.
    #[error(
        "dm-era cannot use its metadata any more (its status is {0:?}): they are full, or their device fails; the \
         kernel's log says which. Writes may fail, and nothing can be sent: see to the metadata device, then close the \
         device and open it again, or track it anew with a larger one"
    )]
    Failed(String),
}

impl BadText {
    fn new(what: &'static str, text: &str) -> Self {
        Self::Unknown { what, text: text.to_owned() }
    }
}

/// A table of one target that covers a whole device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Passes everything to a part of another device.
    Linear {
        /// The device below.
        device: Device,
        /// Where the part begins, in sectors.
        offset: u64,
    },
    /// dm-era.
    Era {
        /// Where it keeps its metadata.
        metadata: Device,
        /// The device below.
        origin: Device,
        /// Block size in sectors.
        block_sectors: u64,
    },
    /// A snapshot that lasts until the machine stops: its exceptions are kept in memory.
    Snapshot {
        /// What it is a snapshot of.
        origin: Device,
        /// Where the old content of overwritten chunks goes.
        cow: Device,
        /// Chunk size in sectors.
        chunk_sectors: u64,
    },
    /// What writes to a device with snapshots must go through.
    SnapshotOrigin {
        /// The device below.
        origin: Device,
    },
    /// Every access fails.
    Error,
}

impl Target {
    /// The kernel's name of the target.
    pub fn name(&self) -> &'static str {
        match self {
            Target::Linear { .. } => "linear",
            Target::Era { .. } => "era",
            Target::Snapshot { .. } => "snapshot",
            Target::SnapshotOrigin { .. } => "snapshot-origin",
            Target::Error => "error",
        }
    }

    /// Reads what `dmsetup table` shows: the target's name and its parameters.
    pub fn parse(name: &str, params: &str) -> Result<Self, BadText> {
        let parse = || {
            let fields: Vec<&str> = params.split_ascii_whitespace().collect();
            match (name, fields.as_slice()) {
                ("linear", [device, offset]) => {
                    Some(Target::Linear { device: device.parse().ok()?, offset: offset.parse().ok()? })
                }
                ("era", [metadata, origin, block_sectors]) => Some(Target::Era {
                    metadata: metadata.parse().ok()?,
                    origin: origin.parse().ok()?,
                    block_sectors: block_sectors.parse().ok()?,
                }),
                ("snapshot", [origin, cow, "N", chunk_sectors]) => Some(Target::Snapshot {
                    origin: origin.parse().ok()?,
                    cow: cow.parse().ok()?,
                    chunk_sectors: chunk_sectors.parse().ok()?,
                }),
                ("error", []) => Some(Target::Error),
                ("snapshot-origin", [origin]) => {
                    Some(Target::SnapshotOrigin { origin: origin.parse().ok()? })
                }
                _ => None,
            }
        };
        parse().ok_or_else(|| BadText::new("table of ours", &format!("{name} {params}")))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Linear { device, offset } => write!(f, "{device} {offset}"),
            Target::Era { metadata, origin, block_sectors } => {
                write!(f, "{metadata} {origin} {block_sectors}")
            }
            Target::Snapshot { origin, cow, chunk_sectors } => write!(f, "{origin} {cow} N {chunk_sectors}"),
            Target::SnapshotOrigin { origin } => write!(f, "{origin}"),
            Target::Error => Ok(()),
        }
    }
}

/// The status line of dm-era: `<metadata block size> <used>/<total> <current era> <held root | ->`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EraStatus {
    /// Metadata blocks in use.
    pub used: u64,
    /// Metadata blocks there are.
    pub total: u64,
    /// The era in progress.
    pub era: u32,
    /// Where the metadata snapshot is, if one is held.
    pub snapshot: Option<u64>,
}

impl FromStr for EraStatus {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        if let word @ ("Error" | "Fail") = text.trim() {
            return Err(BadText::Failed(word.into()));
        }
        let parse = || {
            let [_block_size, usage, era, snapshot] = text.split_ascii_whitespace().collect::<Vec<_>>()[..]
            else {
                return None;
            };
            let (used, total) = usage.split_once('/')?;
            Some(Self {
                used: used.parse().ok()?,
                total: total.parse().ok()?,
                era: era.parse().ok()?,
                snapshot: match snapshot {
                    "-" => None,
                    root => Some(root.parse().ok()?),
                },
            })
        };
        parse().ok_or_else(|| BadText::new("status of dm-era", text))
    }
}

/// The status line of a snapshot: `<used>/<total sectors> <metadata sectors>`, or a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotStatus {
    /// It is what its origin was.
    Valid {
        /// Copy-on-write space in use, in sectors.
        used: u64,
        /// Copy-on-write space there is, in sectors.
        total: u64,
    },
    /// It is of no use any more; the kernel's word for why, `Invalid` or `Overflow`.
    Lost(String),
}

impl FromStr for SnapshotStatus {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        let parse = || match text.split_ascii_whitespace().collect::<Vec<_>>()[..] {
            [word @ ("Invalid" | "Overflow")] => Some(Self::Lost(word.into())),
            [usage, _metadata] => {
                let (used, total) = usage.split_once('/')?;
                Some(Self::Valid { used: used.parse().ok()?, total: total.parse().ok()? })
            }
            _ => None,
        };
        parse().ok_or_else(|| BadText::new("status of a snapshot", text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_round_trip() {
        for (name, params) in [
            ("linear", "7:0 0"),
            ("linear", "259:3 2048"),
            ("era", "253:1 253:0 1024"),
            ("snapshot", "7:0 253:2 N 32"),
            ("snapshot-origin", "7:0"),
            ("error", ""),
        ] {
            let target = Target::parse(name, params).unwrap();
            assert_eq!((target.name(), target.to_string().as_str()), (name, params));
        }
    }

    #[test]
    fn foreign_tables_are_told_apart() {
        for (name, params) in [
            ("linear", "7:0"),
            ("linear", "7:0 x"),
            ("linear", "7 0"),
            ("era", "253:1 253:0"),
            ("era", "253:1 253:0 -8"),
            ("snapshot", "7:0 7:1 P 8"),
            ("error", "7:0"),
            ("zero", ""),
        ] {
            assert!(Target::parse(name, params).is_err(), "{name} {params}");
        }
    }

    #[test]
    fn status_lines_of_the_kernel() {
        let status: EraStatus = "8 49/2048 3 -".parse().unwrap();
        assert_eq!(status, EraStatus { used: 49, total: 2048, era: 3, snapshot: None });
        let status: EraStatus = "8 60/2048 4 48".parse().unwrap();
        assert_eq!(status.snapshot, Some(48));
        for word in ["Error", "Fail"] {
            assert_eq!(word.parse::<EraStatus>(), Err(BadText::Failed(word.into())));
        }
        for bad in ["", "Errors", "8 49 3 -", "8 49/2048 3", "8 49/2048 3 - -"] {
            assert!(bad.parse::<EraStatus>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn status_lines_of_snapshots() {
        assert_eq!("0/8192 0".parse(), Ok(SnapshotStatus::Valid { used: 0, total: 8192 }));
        assert_eq!("Invalid".parse(), Ok(SnapshotStatus::Lost("Invalid".into())));
        for bad in ["", "Unknown", "0/8192", "x/8192 0"] {
            assert!(bad.parse::<SnapshotStatus>().is_err(), "{bad:?}");
        }
    }
}
