// SPDX-License-Identifier: GPL-3.0-or-later
//! The page cache must not answer for the disk.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use rustix::fs::Advice;

/// Drops what the page cache holds of a file or device, which must have been synced.
///
/// Needs no privilege, unlike /proc/sys/vm/drop_caches, and leaves programs and directories in the cache for all
/// contestants alike.
pub fn evict(path: &Path) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).context("cannot drop the page cache")?;
    Ok(())
}
