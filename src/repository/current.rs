// SPDX-License-Identifier: GPL-3.0-or-later
//! The manifest as it was read, and whether another has taken its place since: for those who read for a long time, while
//! another process adds points.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Context;

use super::layout;
use super::manifest::Manifest;

/// A manifest, and the file that it was in, still open.
#[derive(Debug)]
pub struct Current {
    /// What it says.
    pub manifest: Manifest,
    file: File,
}

impl Current {
    /// Reads what is there now.
    pub fn read(repository: &Path) -> anyhow::Result<Self> {
        let path = layout::manifest(repository);
        loop {
            let file = File::open(&path)
                .with_context(|| format!("{}: there is no repository", repository.display()))?;
            let manifest = Manifest::read(repository)?;
            // Else it was replaced in between.
            if let Some(manifest) = manifest.filter(|_| matches!(is_replaced(&file), Ok(false))) {
                return Ok(Self { manifest, file });
            }
        }
    }

    /// Whether another has taken its place.
    pub fn is_replaced(&self) -> anyhow::Result<bool> {
        is_replaced(&self.file)
    }
}

/// Whether another file, or none, has the name by now. Its number would not tell: it may be used again.
fn is_replaced(file: &File) -> anyhow::Result<bool> {
    Ok(file.metadata().context("cannot look at the manifest")?.nlink() == 0)
}
