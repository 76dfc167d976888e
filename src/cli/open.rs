// SPDX-License-Identifier: GPL-3.0-or-later
//! `era open` and `era close`: activates and deactivates tracked devices.

use super::tracked::{Which, disks};
use crate::device::dm::{Dm, node};
use crate::device::eratab::Entry;
use crate::device::lifecycle::{self, Opened};
use crate::report;

const OPEN_EXAMPLES: &str = "\
Examples:
  era open data
  era open --all
  In a rescue system without /etc/eratab:
      era open --meta /dev/vdb2

A device that is open already is fine, and one that a crash left half open is
completed; one that is suspended is resumed, and where dm-era had to be taken
out, as its metadata device failed, it is put back. If something wrote to the data device while it was closed, tracking
starts a new generation, and every backup makes a full pass next.";

const CLOSE_EXAMPLES: &str = "\
Examples:
  umount /data && era close data
  era close --all

Closing records what the superblocks on the data device look like, so that the
next `era open` notices what wrote to it in between.";

/// Activate tracked devices
#[derive(clap::Args)]
#[command(after_help = OPEN_EXAMPLES)]
pub(super) struct OpenArgs {
    #[command(flatten)]
    which: Which,
}

/// Deactivate tracked devices
#[derive(clap::Args)]
#[command(after_help = CLOSE_EXAMPLES)]
pub(super) struct CloseArgs {
    #[command(flatten)]
    which: Which,
}

pub(super) fn open(args: &OpenArgs) -> anyhow::Result<()> {
    let dm = Dm::open()?;
    args.which.for_each(|entry| open_one(&dm, entry))
}

fn open_one(dm: &Dm, entry: &Entry) -> anyhow::Result<()> {
    let (data, metadata) = disks(entry)?;
    let path = node(entry.name.as_str());
    match lifecycle::open(dm, &entry.name, &data, &metadata, Some(entry.options.discards))? {
        Opened::Already => println!("{}: is open: {}", entry.name, path.display()),
        Opened::Continued => println!("{}: opened: {}", entry.name, path.display()),
        Opened::AfterCrash => {
            println!("{}: opened: {}", entry.name, path.display());
            report::warn(format_args!(
                "{}: was not closed in order; all that was written through it is tracked, but whether something wrote \
                 to {} past it cannot be known",
                entry.name,
                data.path.display()
            ));
        }
        Opened::TrackedAgain => {
            println!("{}: is open, and tracked again: {}", entry.name, path.display());
            report::warn(format_args!(
                "{}: was not tracked, as dm-era had to be taken out; tracking starts a new generation, and every backup \
                 makes a full pass next",
                entry.name
            ));
        }
        Opened::NewGeneration => {
            println!("{}: opened: {}", entry.name, path.display());
            report::warn(format_args!(
                "{}: something wrote to {} while it was closed, mounted it perhaps; tracking starts a new generation, \
                 and every backup makes a full pass next",
                entry.name,
                data.path.display()
            ));
        }
    }
    Ok(())
}

pub(super) fn close(args: &CloseArgs) -> anyhow::Result<()> {
    let dm = Dm::open()?;
    args.which.for_each(|entry| {
        let (data, metadata) = disks(entry)?;
        let was_open = lifecycle::close(&dm, &entry.name, &data, &metadata)?;
        println!("{}: {}", entry.name, if was_open { "closed" } else { "is closed" });
        Ok(())
    })
}
