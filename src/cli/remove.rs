// SPDX-License-Identifier: GPL-3.0-or-later
//! `era remove`: takes tracking away again.

use std::path::Path;

use super::tracked::{disks, named};
use crate::device::dm::Dm;
use crate::device::eratab::{self, Name};
use crate::device::lifecycle;

const EXAMPLES: &str = "\
Examples:
  umount /data && era remove data
  mount /dev/vdb1 /data

The data device is then as it was before `era create`, with the data that were
written since. The metadata device is free for other uses.";

/// Take tracking away from a device; its data stay
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Device in /etc/eratab
    name: Name,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let entry = named(&args.name)?;
    let (data, metadata) = disks(&entry)?;
    lifecycle::close(&Dm::open()?, &entry.name, &data, &metadata)?;
    // The header first: a line without a header is reported by whoever meets it, a header without a line by nobody.
    lifecycle::remove(&metadata)?;
    eratab::remove(Path::new(eratab::PATH), &entry.name)?;
    println!("{}: no longer tracked; use {} again", entry.name, data.path.display());
    Ok(())
}
