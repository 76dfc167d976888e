// SPDX-License-Identifier: GPL-3.0-or-later
//! Room for a manifest where a disk is full: a file of nothing that is given up for it.
//!
//! Without it, a disk that this repository alone has filled could neither be told that a run was undone, nor that points
//! were taken away, which is what makes room.

use std::io;
use std::path::Path;

use super::file::{self, RepoFile};
use super::layout;

/// The least that is kept free.
const LEAST_BYTES: u64 = 64 << 10;

/// Makes the reserve, or makes it larger, for manifests of this size.
pub fn ensure(repository: &Path, manifest_bytes: u64) -> anyhow::Result<()> {
    let bytes = (2 * manifest_bytes).max(LEAST_BYTES).next_multiple_of(LEAST_BYTES);
    let file = RepoFile::open(&layout::reserve(repository))?;
    let there = file.len()?;
    // Not zeros, which some filesystems would take for nothing.
    let piece: Vec<u8> = (0..LEAST_BYTES).map(|at| at.to_le_bytes()[0] ^ 0xa5).collect();
    let mut at = there / LEAST_BYTES * LEAST_BYTES;
    while at < bytes {
        file.write(&piece, at)?;
        at += LEAST_BYTES;
    }
    if there < bytes { file.sync() } else { Ok(()) }
}

/// Gives it up; whether there was one.
pub fn give_up(repository: &Path) -> anyhow::Result<bool> {
    let path = layout::reserve(repository);
    let was_there = path.exists();
    file::remove(&path)?;
    Ok(was_there)
}

/// Whether there was no room.
pub fn is_full(e: &anyhow::Error) -> bool {
    e.chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|e| matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}
