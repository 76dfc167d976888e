// SPDX-License-Identifier: GPL-3.0-or-later
//! What a device holds: so that nobody's data are taken for free space, and to tell devices apart that have no names.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, anyhow};
use libblkid_rs::{BlkidErr, BlkidProbe, BlkidSafeprobeRet, BlkidSublks, BlkidSublksFlags};

use super::disk::Disk;
use super::fingerprint::superblocks;
use super::header::StableId;
use crate::blockio::read_extents;

/// Says what a device holds: a filesystem, encryption, a volume manager's or RAID's label, a partition table; `None` where
/// nothing is recognized. Found by libblkid, which knows what wipefs and mkfs warn of.
pub fn find(path: &Path) -> anyhow::Result<Option<String>> {
    probe(path)
        .map_err(|e| anyhow!("{e}"))
        .with_context(|| format!("{}: cannot look for what it holds", path.display()))
}

fn probe(path: &Path) -> Result<Option<String>, BlkidErr> {
    let mut probe = BlkidProbe::new_from_filename(path)?;
    probe.enable_superblocks(true)?;
    probe.set_superblock_flags(BlkidSublksFlags::new(vec![BlkidSublks::Type, BlkidSublks::Usage]))?;
    probe.enable_partitions(true)?;
    match probe.do_safeprobe()? {
        BlkidSafeprobeRet::None => Ok(None),
        BlkidSafeprobeRet::Ambiguous => Ok(Some("several signatures at once".into())),
        BlkidSafeprobeRet::Success => {
            let value = |name| probe.lookup_value(name).ok();
            Ok(Some(match (value("TYPE"), value("USAGE"), value("PTTYPE")) {
                (Some(kind), Some(usage), _) if usage == "filesystem" => format!("an {kind} filesystem"),
                (Some(kind), _, _) => format!("a signature of {kind}"),
                (None, _, Some(table)) => format!("a partition table ({table})"),
                (None, _, None) => "something that libblkid knows".into(),
            }))
        }
    }
}

/// What is on a device, by its uuid: a filesystem, encryption, a volume manager's or RAID's label, else a partition table.
/// It stays the same in normal use. `None` where there is nothing that has one.
///
/// libblkid reads through the page cache, in which a device that was in use below another one has old contents. So it is
/// given a copy of the places where superblocks are.
pub fn content(disk: &Disk) -> anyhow::Result<Option<StableId>> {
    let copy = || -> anyhow::Result<File> {
        let copy = File::from(rustix::fs::memfd_create("superblocks", rustix::fs::MemfdFlags::CLOEXEC)?);
        copy.set_len(disk.bytes())?;
        read_extents(disk, superblocks(disk.bytes()), |piece| -> anyhow::Result<()> {
            Ok(copy.write_all_at(piece.bytes, piece.offset)?)
        })?;
        Ok(copy)
    };
    let copy = copy().with_context(|| disk.path.display().to_string())?;
    // What libblkid cannot make sense of has no uuid.
    Ok(probe_content(&copy).unwrap_or_default())
}

fn probe_content(file: &File) -> Result<Option<StableId>, BlkidErr> {
    let mut probe = BlkidProbe::new()?;
    probe.set_device(file.as_raw_fd(), 0, 0)?;
    probe.enable_superblocks(true)?;
    probe.set_superblock_flags(BlkidSublksFlags::new(vec![BlkidSublks::Type, BlkidSublks::Uuid]))?;
    probe.enable_partitions(true)?;
    // Not the safe one, to which several signatures at once are none: the same bytes are to give the same answer.
    probe.do_fullprobe()?;
    let id = |kind, value| {
        let (kind, value) = (probe.lookup_value(kind).ok()?, probe.lookup_value(value).ok()?);
        Some(StableId { kind, value })
    };
    // The devices of one btrfs or one RAID have its uuid in common, and one of their own.
    Ok(id("TYPE", "UUID_SUB").or_else(|| id("TYPE", "UUID")).or_else(|| id("PTTYPE", "PTUUID")))
}
