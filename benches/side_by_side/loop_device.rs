// SPDX-License-Identifier: GPL-3.0-or-later
//! A block device made of a file, where the system lets us.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Goes away with its last user, even when this program is killed.
pub struct LoopDevice {
    path: PathBuf,
    _held: File,
}

impl LoopDevice {
    /// A read-only device that passes the page cache on its way to the file.
    pub fn attach(file: &Path) -> anyhow::Result<Self> {
        let made = losetup(&["--find", "--show", "--read-only", "--direct-io=on"], file)?;
        let path = PathBuf::from(made.trim());
        let held = File::open(&path).with_context(|| path.display().to_string());
        // Detaching a device that is open makes the kernel do it at the last close.
        losetup(&["--detach"], &path)?;
        Ok(Self { path, _held: held? })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn losetup(options: &[&str], path: &Path) -> anyhow::Result<String> {
    let output = Command::new("losetup").args(options).arg(path).output().context("losetup")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
