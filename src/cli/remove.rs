// SPDX-License-Identifier: GPL-3.0-or-later
//! `era remove`: takes tracking away again.

use std::path::Path;

use anyhow::{Context, bail};

use super::at_boot::{self, Record};
use super::open::close_device;
use super::tracked::{Device, One, table};
use crate::device::disk::{Disk, number_of};
use crate::device::dm::Dm;
use crate::device::eratab::{self, Name};
use crate::device::header::{self, HeaderError};
use crate::device::lifecycle;
use crate::report;

const EXAMPLES: &str = "\
Examples:
  umount /data && era remove data
  mount /dev/vdb1 /data
  A device that is not in /etc/eratab:
      era remove --meta /dev/vdb2
  The root filesystem, if it was created with --at-boot --apply: all that was
  changed is changed back, and it is a plain one from the next boot on:
      era remove root

The data device is then as it was before `era create`, with the data that were
written since. The metadata device is free for other uses. The data device may
be gone; if it is there, nothing may use it.";

/// Take tracking away from a device; its data stay
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    which: One,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(name) = args.which.name()
        && let Some(record) = at_boot::made(name)?
    {
        return undo_at_boot(name, &record);
    }
    let device = args.which.device()?;
    let (data, metadata) = (device.data(), device.metadata()?);
    if data.is_err() {
        check_name(&device, &metadata)?;
    }
    let lines = match args.which.name() {
        Some(name) => vec![name.clone()],
        None => lines_of(&metadata)?,
    };
    // The header's name is the one of before a line was taken out or renamed.
    for name in lines.iter().chain([&device.name]) {
        if let Some(record) = at_boot::made(name)? {
            drop(metadata);
            return undo_at_boot(name, &record);
        }
    }
    close_device(&Dm::open()?, &device, data.as_ref(), &metadata)?;
    // The header first: a line without a header is reported by whoever meets it, a header without a line by nobody.
    lifecycle::remove(data.as_ref().ok(), &metadata)?;
    for name in lines {
        eratab::remove(Path::new(eratab::PATH), &name)?;
    }
    match data {
        Ok(data) => println!("{}: no longer tracked; use {} again", device.name, data.path.display()),
        Err(_) => println!("{}: no longer tracked", device.name),
    }
    Ok(())
}

/// What `era create --at-boot --apply` did, or began to do, is undone, also while the device is in use: the next boot does
/// without it. The header goes late, since until then a ramdisk may look for it, and the record last: whatever ends this in
/// the middle, the same command goes on with it.
fn undo_at_boot(name: &Name, record: &Record) -> anyhow::Result<()> {
    let path = Path::new(eratab::PATH);
    let entry = match table()?.find(name) {
        Some(entry) => entry.clone(),
        None => record.entry()?,
    };
    let device = Device::from(entry.clone());
    let data = device.data();
    let metadata = match device.metadata.resolve().and_then(|path| number_of(&path)) {
        Ok(_) => Some(device.metadata()?),
        // With a disk that has died there is nothing to take away from it; the boot must be mended all the same.
        Err(e) => {
            report::warn(format_args!(
                "{e:#}: what is on it stays; `era remove --meta DEVICE` takes it away when it is back"
            ));
            None
        }
    };
    let has_header = match metadata.as_ref().map(|disk| header::read(disk)) {
        Some(Ok(_)) => true,
        None | Some(Err(HeaderError::NotThere)) => false,
        // One that is somebody else's is refused before anything is changed.
        Some(Err(e)) => return Err(e).with_context(|| device.metadata.to_string()),
    };
    eratab::remove(path, name)?;
    record.put_back(name).inspect_err(|_| {
        // The device is opened as before until this has succeeded. The first error is the one to tell of.
        let _ = eratab::add(path, &entry);
    })?;
    let mut until = "";
    if let Some(metadata) = metadata.filter(|_| has_header) {
        let dm = Dm::open()?;
        let is_in_use = dm.state(name.as_str())?.is_some_and(|state| state.open_count > 0)
            || data.as_ref().is_ok_and(|data| {
                dm.state(name.as_str()).is_ok_and(|s| s.is_none()) && data.check_unused().is_err()
            });
        if is_in_use {
            lifecycle::remove_in_use(&metadata)?;
            until = " from the next boot on";
        } else {
            close_device(&dm, &device, data.as_ref(), &metadata)?;
            lifecycle::remove(data.as_ref().ok(), &metadata)?;
        }
    }
    at_boot::forget(name)?;
    println!("{name}: no longer tracked{until}");
    Ok(())
}

/// With a data device to compare, a line that names the metadata device of another is noticed. Without, the name must do.
fn check_name(device: &Device, metadata: &Disk) -> anyhow::Result<()> {
    let path = metadata.path.display();
    let header = header::read(metadata).with_context(|| path.to_string())?.header;
    match header.name {
        Some(name) if name != device.name.as_str() => bail!(
            "{}: its data device is not there, and {path} has the header of {name}; if that is the one to remove: \
             era remove --meta {path}",
            device.name
        ),
        _ => Ok(()),
    }
}

/// The lines of the table that are about this metadata device, whatever names they have.
fn lines_of(metadata: &Disk) -> anyhow::Result<Vec<Name>> {
    let is_it = |path: &Path| number_of(path).is_ok_and(|number| number == metadata.number);
    let entries = table()?.entries.into_iter();
    Ok(entries
        .filter(|entry| entry.metadata.resolve().is_ok_and(|path| is_it(&path)))
        .map(|entry| entry.name)
        .collect())
}
