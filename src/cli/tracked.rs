// SPDX-License-Identifier: GPL-3.0-or-later
//! Which tracked devices a command means, and what they are made of.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::device::disk::Disk;
use crate::device::eratab::{self, DeviceSpec, Entry, Name, Options, Table};
use crate::device::header;
use crate::device::lifecycle;
use crate::report;

/// The devices that a command is to work on.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// Device in /etc/eratab
    name: Option<Name>,

    /// All devices in /etc/eratab, but those that are marked noauto
    #[arg(long)]
    all: bool,

    /// The device that has this metadata device, whether it is in /etc/eratab or not
    #[arg(long, value_name = "DEVICE")]
    meta: Option<PathBuf>,
}

impl Which {
    /// Does something to each; with `--all` a failure is reported and the others are done, too. A line of the table that
    /// cannot be understood is a device that nothing is done to, so it is a failure as well.
    pub(super) fn for_each(&self, mut work: impl FnMut(&Entry) -> anyhow::Result<()>) -> anyhow::Result<()> {
        match (&self.name, &self.meta) {
            (Some(name), _) => return work(&named(name)?).with_context(|| name.to_string()),
            (None, Some(meta)) => return work(&on(meta)?),
            (None, None) => {}
        }
        let table = table()?;
        let mut failed: Vec<String> = table.problems.iter().map(|(line, _)| format!("line {line}")).collect();
        for entry in table.entries.iter().filter(|entry| !entry.options.noauto) {
            match work(entry).with_context(|| entry.name.to_string()) {
                Err(e) if entry.options.nofail => report::warn(format_args!("{e:#}")),
                Err(e) => {
                    report::fail(format_args!("{e:#}"));
                    failed.push(entry.name.to_string());
                }
                Ok(()) => {}
            }
        }
        match failed.as_slice() {
            [] => Ok(()),
            failed => bail!("{}: failed: {}", eratab::PATH, failed.join(", ")),
        }
    }
}

/// The table; what is wrong with it is warned of.
pub(super) fn table() -> anyhow::Result<Table> {
    let table = eratab::read(Path::new(eratab::PATH))?;
    for (line, problem) in &table.problems {
        report::warn(format_args!("{}:{line}: {problem}", eratab::PATH));
    }
    Ok(table)
}

/// The entry of a name.
pub(super) fn named(name: &Name) -> anyhow::Result<Entry> {
    table()?.entries.into_iter().find(|entry| entry.name == *name).with_context(|| {
        format!("{name}: is not in {}; add it there, or name its metadata device with --meta", eratab::PATH)
    })
}

/// An entry made from what the header on a metadata device says.
fn on(meta: &Path) -> anyhow::Result<Entry> {
    let meta = std::path::absolute(meta)?;
    let path = || meta.display().to_string();
    let header = header::read(&Disk::open_held(&meta)?).with_context(path)?.header;
    let name = header.name.as_ref().with_context(|| format!("{}: the header names no device", path()))?;
    let data = lifecycle::find_data(&header).with_context(|| {
        format!("{}: the data device of {name} is not there; blkid and lsblk show what there is", path())
    })?;
    Ok(Entry {
        name: name.parse().with_context(path)?,
        data: DeviceSpec::Path(data),
        metadata: DeviceSpec::Path(meta),
        options: Options { discards: header.options.discards, ..Options::default() },
    })
}

/// The two devices of an entry, the metadata device locked against other commands.
pub(super) fn disks(entry: &Entry) -> anyhow::Result<(Disk, Disk)> {
    let metadata = Disk::open_held(&entry.metadata.resolve()?)?;
    metadata.lock()?;
    Ok((Disk::open_held(&entry.data.resolve()?)?, metadata))
}
