// SPDX-License-Identifier: GPL-3.0-or-later
//! How a device may be called in a configuration.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use crate::device::disk::{Disk, number_of};

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
    names.extend(
        below_dev()
            .filter(|path| number_of(path).is_ok_and(|number| number == data.number))
            .map(|path| path.display().to_string()),
    );
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// What is in the directories of /dev: a logical volume is `/dev/GROUP/VOLUME` and `/dev/mapper/GROUP-VOLUME`.
fn below_dev() -> impl Iterator<Item = PathBuf> {
    let entries = |directory: PathBuf| fs::read_dir(directory).into_iter().flatten().flatten();
    entries("/dev".into())
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .flat_map(move |directory| entries(directory.path()))
        .map(|entry| entry.path())
}
