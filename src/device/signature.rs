// SPDX-License-Identifier: GPL-3.0-or-later
//! What a device holds already, so that nobody's data are taken for free space.

use std::path::Path;

use anyhow::{Context, anyhow};
use libblkid_rs::{BlkidErr, BlkidProbe, BlkidSafeprobeRet, BlkidSublks, BlkidSublksFlags};

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
