// SPDX-License-Identifier: GPL-3.0-or-later
//! Our header: what is known about a tracked device, at the start of its metadata device.
//!
//! The format is specified in `docs/header.md`. There are two copies, far apart, and a change is written to one after the
//! other, each made durable and read back before the next: at any moment one of them is whole, and it is the old
//! header or the new one. When [`write()`] has returned, both say the same, so that one that rots later does not bring an
//! older state back.
//!
//! - `slot`: one copy as bytes: magic, version, sequence, length, BLAKE3
//! - `payload`: what a copy says, as JSON, and the checks that make it fit for use
//! - `store`: reading, writing and destroying both copies

mod error;
#[cfg(test)]
mod memory;
mod payload;
mod slot;
mod store;

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

pub use error::{HeaderError, Invalid, Newer, Note, SlotProblem};
pub use store::{Found, read, wipe, write};

use super::fingerprint::Fingerprint;
use super::growth::Growth;
use super::sizing::Layout;
use crate::units::{BlockSize, Era};

/// What is known about a tracked device.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The name that the device was made with, for those who have only the metadata device.
    pub name: Option<String>,
    /// The tracked device, for as long as it is tracked.
    pub device: Uuid,
    /// The life of dm-era's metadata: a new one whenever they are made anew. Eras of different ones cannot be compared.
    pub generation: Uuid,
    /// The device that is tracked.
    pub data: DataDevice,
    /// By what it has grown in this generation.
    pub growth: Option<Growth>,
    /// dm-era's block size.
    pub block_size: BlockSize,
    /// Where dm-era's metadata and the copy-on-write space are.
    pub layout: Layout,
    /// How the device is opened.
    pub options: Options,
    /// How the device was left.
    pub state: State,
    /// When tracking was set up.
    pub created: Timestamp,
    /// When the header was last written; [`write()`] sets it.
    pub changed: Timestamp,
    /// Grows with every write; 0 for a header that never was.
    sequence: u64,
    /// The payload as it was read, for the fields in it that this program does not know.
    original: Map<String, Value>,
}

/// How to tell that a device is the one that is tracked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDevice {
    /// Its size when the header was written.
    pub size_bytes: u64,
    /// A name that the device keeps, if it has one.
    pub id: Option<StableId>,
    /// What it holds, by the uuid of that; it tells devices without a name apart.
    pub content: Option<StableId>,
    /// Where it was when the header was written: a place to look first, no proof.
    pub path: Option<String>,
}

/// A name that a device keeps wherever it is plugged in, such as a `partuuid` or a `wwid`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StableId {
    /// What kind of name this is; like udev's directories below /dev/disk, without their `by-`.
    pub kind: String,
    /// The name.
    pub value: String,
}

impl fmt::Display for StableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.value)
    }
}

/// How a device is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether discards pass; what is discarded is not tracked.
    pub discards: bool,
}

/// How a device was left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Whether it was closed in an orderly way and has not been opened since.
    pub clean: bool,
    /// What the data device looked like when it was closed.
    pub fingerprint: Option<Fingerprint>,
    /// The era of dm-era's metadata when they were last looked at; 0 where the kernel was about to make them, `None` where
    /// the device has not been opened in this generation.
    pub era: Option<Era>,
}

impl Header {
    /// The header of a device that is to be tracked from now on; not clean, nothing optional set.
    pub fn new(
        device: Uuid,
        generation: Uuid,
        data: DataDevice,
        block_size: BlockSize,
        layout: Layout,
    ) -> Self {
        let now = Timestamp::now();
        Self {
            name: None,
            device,
            generation,
            data,
            growth: None,
            block_size,
            layout,
            options: Options::default(),
            state: State::default(),
            created: now,
            changed: now,
            sequence: 0,
            original: Map::new(),
        }
    }

    /// How many times the header of this device has been written.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}
