// SPDX-License-Identifier: GPL-3.0-or-later
//! Where what is in a repository's directory. `docs/repository.md` is its specification.

use std::path::{Path, PathBuf};

/// What there is, and the last word on it.
pub fn manifest(repository: &Path) -> PathBuf {
    repository.join("manifest.json")
}

/// The manifest that is to take its place.
pub fn new_manifest(repository: &Path) -> PathBuf {
    repository.join("manifest.json.new")
}

/// The device at the last point.
pub fn image(repository: &Path) -> PathBuf {
    repository.join("image")
}

/// The hashes of its units.
pub fn hashes(repository: &Path) -> PathBuf {
    repository.join("hashes")
}

/// What leads back from each point to the one before.
pub fn undo_directory(repository: &Path) -> PathBuf {
    repository.join("undo")
}

/// What leads back from one point to an earlier one.
pub fn undo(repository: &Path, to: u64, from: u64) -> PathBuf {
    undo_directory(repository).join(format!("{to}-{from}"))
}

/// Room that is given up where the disk is full.
pub fn reserve(repository: &Path) -> PathBuf {
    repository.join("reserve")
}

/// What is locked by whoever changes the repository.
pub fn lock(repository: &Path) -> PathBuf {
    repository.join("lock")
}

/// What is locked by whoever reads points, and by whoever takes some away.
pub fn readers_lock(repository: &Path) -> PathBuf {
    repository.join("lock.readers")
}
