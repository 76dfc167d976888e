// SPDX-License-Identifier: GPL-3.0-or-later
//! `era open` and `era close`: activates and deactivates tracked devices.

use super::tracked::{Which, disks};
use crate::device::dm::{Dm, node};
use crate::device::eratab::Entry;
use crate::device::lifecycle;
use crate::device::opening::{self, Choices, Opened};
use crate::report;

const OPEN_EXAMPLES: &str = "\
Examples:
  era open data
  era open --all
  In a rescue system without /etc/eratab:
      era open --meta /dev/vdb2

A device that is open already is fine, and one that a crash left half open is
completed. If something wrote to the data device while it was closed, tracking
starts a new generation, and every backup makes a full pass next.

  After both disks were set back to an older state, by a snapshot of a virtual
  machine for example, which era cannot notice:
      era open --new-generation data
  A partition whose uuid was changed, or a disk without a serial number that was
  formatted anew, is taken for another one; if it is the right one:
      era open --accept-data data";

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

    /// Begin a new generation: every backup makes a full pass next
    #[arg(long)]
    new_generation: bool,

    /// Take the data device as it is, if it is not the recorded one; begins a new generation
    #[arg(long, conflicts_with = "all")]
    accept_data: bool,
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
    args.which.for_each(|entry| open_one(&dm, entry, args))
}

fn open_one(dm: &Dm, entry: &Entry, args: &OpenArgs) -> anyhow::Result<()> {
    let (data, metadata) = disks(entry)?;
    let path = node(entry.name.as_str());
    let choices = Choices {
        discards: Some(entry.options.discards),
        new_generation: args.new_generation,
        accept_data: args.accept_data,
    };
    match opening::open(dm, &entry.name, &data, &metadata, &choices)? {
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
        Opened::NewGeneration(reason) => {
            println!("{}: opened: {}", entry.name, path.display());
            report::warn(format_args!(
                "{}: tracking starts a new generation, and every backup makes a full pass next: {reason}",
                entry.name
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
