// SPDX-License-Identifier: GPL-3.0-or-later
//! A repository that `era mount` shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Unmounted when it is dropped.
pub struct Mounted(PathBuf);

impl Mounted {
    pub fn new(era: &Path, repository: &Path, directory: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir(&directory)?;
        let output = Command::new(era).arg("mount").args([repository, &directory]).output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(Self(directory))
    }

    /// The last point.
    pub fn latest(&self) -> anyhow::Result<PathBuf> {
        let latest = self.0.join("latest");
        fs::canonicalize(&latest).with_context(|| latest.display().to_string())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let done = Command::new("fusermount3").arg("-u").arg(&self.0).status();
        if !done.is_ok_and(|status| status.success()) {
            eprintln!("side_by_side: {}: cannot unmount", self.0.display());
        }
    }
}
