// SPDX-License-Identifier: GPL-3.0-or-later
//! What a block device is known by, whatever path it has today and whatever is written to it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use devicemapper::Device;
use libblkid_rs::BlkidCache;

use super::disk::{number_of, path_of};
use super::header::StableId;

/// The uuid of a partition.
pub const PARTUUID: &str = "partuuid";

/// Names that the kernel shows below a device's directory in sysfs: where, and what they are called.
const IN_SYSFS: [(&str, &str); 5] = [
    ("dm/uuid", "dm-uuid"),
    ("wwid", "wwid"),
    ("device/wwid", "wwid"),
    ("serial", "serial"),
    ("device/serial", "serial"),
];

/// The best name that a device has; `None` for a loop device, for example.
pub fn of(number: Device, path: &Path) -> Option<StableId> {
    let id = |kind: &str, value: String| StableId { kind: kind.into(), value };
    if let Some(uuid) = partition_uuid(path) {
        return Some(id(PARTUUID, uuid));
    }
    // A partition without an uuid has no name of its own; that of its disk would be shared by all its partitions.
    let directory = sysfs(number);
    if directory.join("partition").exists() {
        return None;
    }
    IN_SYSFS.iter().find_map(|(file, kind)| {
        let value = fs::read_to_string(directory.join(file)).ok()?.trim().to_owned();
        // The header holds nothing that would do something to a terminal.
        (!value.is_empty() && !value.contains(char::is_control)).then(|| id(kind, value))
    })
}

/// The path of the device that has this name now.
pub fn find(wanted: &StableId) -> Option<PathBuf> {
    if wanted.kind == PARTUUID {
        return libblkid_rs::evaluate_tag("PARTUUID", &wanted.value, None)
            .ok()
            .filter(|path| !path.as_os_str().is_empty());
    }
    fs::read_dir("/sys/class/block").ok()?.filter_map(Result::ok).find_map(|entry| {
        let number: Device = fs::read_to_string(entry.path().join("dev")).ok()?.trim().parse().ok()?;
        let path = Path::new("/dev").join(entry.file_name());
        (of(number, &path).as_ref() == Some(wanted)).then_some(path)
    })
}

/// The data device, where a device is a layer of a stack of ours: the filesystem that a tag names is seen on all of them.
pub fn below_our_layers(path: PathBuf) -> anyhow::Result<PathBuf> {
    let mut number = number_of(&path)?;
    let mut path = path;
    while dm_uuid(number).is_some_and(|uuid| uuid.starts_with("ERA-")) {
        let slaves = sysfs(number).join("slaves");
        let read = || -> io::Result<Vec<Device>> {
            fs::read_dir(&slaves)?
                .map(|entry| {
                    let text = fs::read_to_string(entry?.path().join("dev"))?;
                    text.trim().parse().map_err(io::Error::other)
                })
                .collect()
        };
        let below = read().with_context(|| slaves.display().to_string())?;
        // The tracked device is on two: the one for the data, and the one for the metadata.
        let is_data = |device: &&Device| dm_uuid(**device).is_some_and(|uuid| uuid.ends_with("-data"));
        number = *below
            .iter()
            .find(is_data)
            .or(below.first())
            .with_context(|| format!("{}: is on no device", path.display()))?;
        path = path_of(number)?;
    }
    Ok(path)
}

fn dm_uuid(number: Device) -> Option<String> {
    fs::read_to_string(sysfs(number).join("dm/uuid")).ok().map(|uuid| uuid.trim().to_owned())
}

fn sysfs(number: Device) -> PathBuf {
    Path::new("/sys/dev/block").join(number.to_string())
}

fn partition_uuid(path: &Path) -> Option<String> {
    // Not the cache file, which may be of yesterday.
    let cache = BlkidCache::get_cache(Some(Path::new("/dev/null"))).ok()?;
    cache.get_tag_value("PARTUUID", path).ok().filter(|uuid| !uuid.is_empty())
}
