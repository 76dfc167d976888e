// SPDX-License-Identifier: GPL-3.0-or-later
//! `era remove`: takes tracking away again.

use std::path::Path;

use anyhow::{Context, bail};

use super::open::close_device;
use super::tracked::{Device, One, table};
use crate::device::disk::{Disk, number_of};
use crate::device::dm::Dm;
use crate::device::eratab::{self, Name};
use crate::device::{header, lifecycle};

const EXAMPLES: &str = "\
Examples:
  umount /data && era remove data
  mount /dev/vdb1 /data
  A device that is not in /etc/eratab:
      era remove --meta /dev/vdb2

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
    let device = args.which.device()?;
    let (data, metadata) = (device.data(), device.metadata()?);
    if data.is_err() {
        check_name(&device, &metadata)?;
    }
    let lines = match args.which.name() {
        Some(name) => vec![name.clone()],
        None => lines_of(&metadata)?,
    };
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
