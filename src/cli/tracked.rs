// SPDX-License-Identifier: GPL-3.0-or-later
//! Which tracked devices a command means, and what they are made of.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

use crate::blockio::Source;
use crate::device::disk::{Disk, number_of};
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

    /// All devices in /etc/eratab; opening leaves out those that are marked noauto
    #[arg(long)]
    all: bool,

    /// The device that has this metadata device, whether it is in /etc/eratab or not
    #[arg(long, value_name = "DEVICE")]
    meta: Option<PathBuf>,
}

/// The device that a command is to work on.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct One {
    /// Device in /etc/eratab
    name: Option<Name>,

    /// The device that has this metadata device, whether it is in /etc/eratab or not
    #[arg(long, value_name = "DEVICE")]
    meta: Option<PathBuf>,
}

/// What `--all` is about: noauto and nofail are for the boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum All {
    /// Devices that are marked noauto are left out, and those that are marked nofail may fail.
    Open,
    /// Of these only those that are marked x-initrd.attach.
    Initrd,
    /// All, and each must be closed.
    Close,
}

/// How often to look whether what is waited for has come about.
pub(super) const POLL: Duration = Duration::from_millis(100);

/// A device, by its line in the table or by its header.
pub(super) struct Device {
    pub(super) name: Name,
    pub(super) metadata: DeviceSpec,
    pub(super) options: Options,
    /// Or why it is not known.
    data: Result<DeviceSpec, String>,
}

impl From<Entry> for Device {
    fn from(entry: Entry) -> Self {
        let Entry { name, data, metadata, options } = entry;
        Self { name, metadata, options, data: Ok(data) }
    }
}

impl Device {
    /// Its metadata device, locked against other commands.
    pub(super) fn metadata(&self) -> anyhow::Result<Disk> {
        let metadata = Disk::open_held(&self.metadata.resolve()?)?;
        metadata.lock()?;
        Ok(metadata)
    }

    /// Waits until both disks are there, or until the time is up: who needs them then says what is missing.
    pub(super) fn wait(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut told = false;
        for spec in self.data.iter().chain([&self.metadata]) {
            while !spec.resolve().is_ok_and(|path| number_of(&path).is_ok()) && Instant::now() < deadline {
                if !told {
                    report::note(format_args!("{}: waiting for {spec}", self.name));
                    told = true;
                }
                thread::sleep(POLL);
            }
        }
    }

    /// Its data device.
    pub(super) fn data(&self) -> anyhow::Result<Disk> {
        Disk::open_held(&self.data.as_ref().map_err(|e| anyhow!("{e}"))?.resolve()?)
    }
}

impl One {
    /// The name, where it was given.
    pub(super) fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// The device that is meant.
    pub(super) fn device(&self) -> anyhow::Result<Device> {
        match (&self.name, &self.meta) {
            (Some(name), _) => named(name),
            (None, Some(meta)) => on(meta),
            (None, None) => bail!("NAME or --meta is needed"),
        }
    }
}

impl Which {
    /// Whether all devices of the table are meant.
    pub(super) fn is_all(&self) -> bool {
        self.all
    }

    /// Does something to each; with `--all` a failure is reported and the others are done, too. A line of the table that
    /// cannot be understood is a device that nothing is done to, so it is a failure as well.
    pub(super) fn for_each(
        &self,
        all: All,
        mut work: impl FnMut(&Device) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match (&self.name, &self.meta) {
            (Some(name), _) => return work(&named(name)?).with_context(|| name.to_string()),
            (None, Some(meta)) => return work(&on(meta)?),
            (None, None) => {}
        }
        let table = table()?;
        let mut failed: Vec<String> = table.problems.iter().map(|(line, _)| format!("line {line}")).collect();
        let devices = table.entries.into_iter().map(Device::from);
        let is_meant = |device: &Device| match all {
            All::Open => !device.options.noauto,
            All::Initrd => !device.options.noauto && device.options.initrd_attach,
            All::Close => true,
        };
        for device in devices.filter(is_meant) {
            match work(&device).with_context(|| device.name.to_string()) {
                Err(e) if all != All::Close && device.options.nofail => report::warn(format_args!("{e:#}")),
                Err(e) => {
                    report::fail(format_args!("{e:#}"));
                    failed.push(device.name.to_string());
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

/// The device of a name.
fn named(name: &Name) -> anyhow::Result<Device> {
    let entry = table()?.entries.into_iter().find(|entry| entry.name == *name).with_context(|| {
        format!("{name}: is not in {}; add it there, or name its metadata device with --meta", eratab::PATH)
    })?;
    Ok(entry.into())
}

/// The device that the header on a metadata device says.
fn on(meta: &Path) -> anyhow::Result<Device> {
    let meta = std::path::absolute(meta)?;
    let path = || meta.display().to_string();
    let source = Source::open(&meta).with_context(|| format!("{}: cannot open", path()))?;
    let header = header::read(&source).with_context(path)?.header;
    let name = header.name.as_ref().with_context(|| format!("{}: the header names no device", path()))?;
    let data = lifecycle::find_data(&header).map(DeviceSpec::Path).ok_or_else(|| {
        format!("{}: the data device of {name} is not there; blkid and lsblk show what there is", path())
    });
    Ok(Device {
        name: name.parse().with_context(path)?,
        data,
        metadata: DeviceSpec::Path(meta),
        options: Options { discards: header.options.discards, ..Options::default() },
    })
}
