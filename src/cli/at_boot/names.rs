// SPDX-License-Identifier: GPL-3.0-or-later
//! How a device may be called in a configuration.

use std::fs;

use anyhow::Context;

use crate::device::disk::Disk;

/// Its nodes and links, and the tags that udev knows.
pub(super) fn spellings(data: &Disk) -> anyhow::Result<Vec<String>> {
    let real = fs::canonicalize(&data.path).with_context(|| data.path.display().to_string())?;
    let mut names = vec![data.path.display().to_string(), real.display().to_string()];
    for directory in fs::read_dir("/dev/disk").into_iter().flatten().flatten() {
        let tag = match directory.file_name().to_str() {
            Some("by-uuid") => Some("UUID"),
            Some("by-label") => Some("LABEL"),
            Some("by-partuuid") => Some("PARTUUID"),
            Some("by-partlabel") => Some("PARTLABEL"),
            _ => None,
        };
        for link in fs::read_dir(directory.path()).into_iter().flatten().flatten() {
            if fs::canonicalize(link.path()).is_ok_and(|target| target == real) {
                names.push(link.path().display().to_string());
                names.extend(tag.map(|tag| format!("{tag}={}", link.file_name().display())));
            }
        }
    }
    Ok(names)
}
