// SPDX-License-Identifier: GPL-3.0-or-later
//! Undo streams: how to get from one point in time back to the one before.
//!
//! - `index`: where in a stream each unit is
//! - `write`: making one, batch by batch, while a stream is received
//! - `read`: units of one, in any order
//! - `roll_back`: all of one, after a crash

pub mod index;
mod read;
mod roll_back;
mod write;

use std::path::{Path, PathBuf};

pub use read::Undo;
pub use roll_back::roll_back;
pub use write::UndoWriter;

use crate::stream::OPTIONAL;

/// Type of the record that has the hashes of units: pairs of a unit, 8 bytes, and its BLAKE3, 32 bytes.
const HASHES: u32 = 4 | OPTIONAL;

/// What a batch may hold, and so what may be torn at the end of a stream after a crash. In bytes.
pub const BATCH_BYTES: u64 = 16 << 20;

/// The index of an undo stream.
pub fn index_of(stream: &Path) -> PathBuf {
    let mut name = stream.as_os_str().to_owned();
    name.push(".index");
    name.into()
}
