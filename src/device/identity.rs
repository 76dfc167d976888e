// SPDX-License-Identifier: GPL-3.0-or-later
//! What a block device is known by, whatever path it has today and whatever is written to it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use devicemapper::Device;
use libblkid_rs::{BlkidDevno, BlkidErr, BlkidProbe};

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

/// The names that a device has, the best one first; none for a loop device, for example.
pub fn of(number: Device) -> Vec<StableId> {
    let id = |kind: &str, value: String| StableId { kind: kind.into(), value };
    if let Some(uuid) = partition_uuid(number) {
        return vec![id(PARTUUID, uuid)];
    }
    // A partition without an uuid has no name of its own; that of its disk would be shared by all its partitions.
    let directory = sysfs(number);
    if directory.join("partition").exists() {
        return Vec::new();
    }
    let read = |(file, kind): &(&str, &str)| {
        let value = fs::read_to_string(directory.join(file)).ok()?.trim().to_owned();
        // The header holds nothing that would do something to a terminal.
        (!value.is_empty() && !value.contains(char::is_control)).then(|| id(kind, value))
    };
    IN_SYSFS.iter().filter_map(read).collect()
}

/// The path of the device that has this name now.
pub fn find(wanted: &StableId) -> Option<PathBuf> {
    if wanted.kind == PARTUUID
        && let Ok(path) = libblkid_rs::evaluate_tag("PARTUUID", &wanted.value, None)
        && !path.as_os_str().is_empty()
    {
        return Some(path);
    }
    // Where udev does not run, libblkid passes over a partition with several signatures.
    fs::read_dir("/sys/class/block").ok()?.filter_map(Result::ok).find_map(|entry| {
        let number: Device = fs::read_to_string(entry.path().join("dev")).ok()?.trim().parse().ok()?;
        of(number).contains(wanted).then(|| path_of(number).ok())?
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

/// The uuid of a partition, from the table that it is in: what the partition holds does not matter. libblkid's cache has it,
/// too, but not where several signatures are found in the partition.
fn partition_uuid(number: Device) -> Option<String> {
    let devno = BlkidDevno::from_device_numbers(number.major, number.minor);
    let (_, disk) = devno.to_wholedisk().ok()?;
    let disk = Device { major: disk.major(), minor: disk.minor() };
    if disk == number {
        return None;
    }
    let mut probe = BlkidProbe::new_from_filename(&path_of(disk).ok()?).ok()?;
    let partition = probe.get_partitions().ok()?.get_partition_by_devno(&devno).ok()?;
    match partition.get_uuid() {
        Ok(uuid) => Some(uuid?.to_string()),
        // Partitions of an MBR have no uuid but the disk's number and theirs, which everybody calls one.
        Err(BlkidErr::Uuid(_)) => {
            let table = partition.get_table().ok()?.get_id().ok()?;
            Some(format!("{table}-{:02x}", partition.get_partno().ok()?))
        }
        Err(_) => None,
    }
}
