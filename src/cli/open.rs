// SPDX-License-Identifier: GPL-3.0-or-later
//! `era open` and `era close`: activates and deactivates tracked devices.

use std::thread;
use std::time::{Duration, Instant};

use super::tracked::{All, Device, POLL, Which};
use crate::device::disk::{Disk, number_of};
use crate::device::dm::{Dm, node};
use crate::device::lifecycle::{self, Closed};
use crate::device::opening::{self, Choices, Opened};
use crate::device::stack::{self, Layer};
use crate::report;

const OPEN_EXAMPLES: &str = "\
Examples:
  era open data
  era open --all
  In a rescue system without /etc/eratab:
      era open --meta /dev/vdb2

A device that is open already is fine, and one that a crash left half open is
completed; one that is suspended is resumed, and where dm-era had to be taken
out, as its metadata device failed, it is put back. If something wrote to the
data device while it was closed, tracking starts a new generation, and every
backup makes a full pass next.

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
next `era open` notices what wrote to it in between. A device whose data disk is
gone is closed without that. A device that is closed already is fine.";

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

    /// With --all: only those that are marked x-initrd.attach, as in the initial ramdisk
    #[arg(long, requires = "all")]
    initrd: bool,

    /// Wait so long for disks that are not there yet
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = seconds())]
    wait: u64,
}

/// Deactivate tracked devices
#[derive(clap::Args)]
#[command(after_help = CLOSE_EXAMPLES)]
pub(super) struct CloseArgs {
    #[command(flatten)]
    which: Which,

    /// Wait so long for what still uses a device
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = seconds())]
    wait: u64,
}

/// What one may wish to wait: no more than a time that can be added to now.
fn seconds() -> impl clap::builder::TypedValueParser<Value = u64> {
    clap::value_parser!(u64).range(..=365 * 24 * 60 * 60)
}

pub(super) fn open(args: &OpenArgs) -> anyhow::Result<()> {
    let dm = Dm::open()?;
    let limit = Duration::from_secs(args.wait);
    let all = if args.initrd { All::Initrd } else { All::Open };
    args.which.for_each(all, |device| {
        device.wait(limit);
        open_one(&dm, device, args)
    })
}

fn open_one(dm: &Dm, device: &Device, args: &OpenArgs) -> anyhow::Result<()> {
    let (metadata, data) = (device.metadata()?, device.data()?);
    let path = node(device.name.as_str());
    let choices = Choices {
        discards: Some(device.options.discards),
        new_generation: args.new_generation,
        accept_data: args.accept_data,
    };
    match opening::open(dm, &device.name, &data, &metadata, &choices)? {
        Opened::Already => println!("{}: is open: {}", device.name, path.display()),
        Opened::Continued | Opened::First => println!("{}: opened: {}", device.name, path.display()),
        Opened::AfterCrash => {
            println!("{}: opened: {}", device.name, path.display());
            report::warn(format_args!(
                "{}: was not closed in order; all that was written through it is tracked, but whether something wrote \
                 to {} past it cannot be known",
                device.name,
                data.path.display()
            ));
        }
        Opened::TrackedAgain => {
            println!("{}: is open, and tracked again: {}", device.name, path.display());
            report::warn(format_args!(
                "{}: was not tracked, as dm-era had to be taken out; tracking starts a new generation, and every backup \
                 makes a full pass next",
                device.name
            ));
        }
        Opened::NewGeneration(reason) => {
            println!("{}: opened: {}", device.name, path.display());
            report::warn(format_args!(
                "{}: tracking starts a new generation, and every backup makes a full pass next: {reason}",
                device.name
            ));
        }
    }
    Ok(())
}

pub(super) fn close(args: &CloseArgs) -> anyhow::Result<()> {
    let dm = Dm::open()?;
    args.which.for_each(All::Close, |device| {
        if args.which.is_all() && is_absent(&dm, device)? {
            println!("{}: is closed", device.name);
            return Ok(());
        }
        wait_unused(&dm, device, Duration::from_secs(args.wait))?;
        let metadata = device.metadata()?;
        match close_device(&dm, device, device.data().as_ref(), &metadata)? {
            Closed::Already => println!("{}: is closed", device.name),
            Closed::Clean(name) | Closed::Unclean(name) if name != device.name.as_str() => {
                println!("{}: closed; it was open as {name}", device.name);
            }
            Closed::Clean(_) | Closed::Unclean(_) => println!("{}: closed", device.name),
        }
        Ok(())
    })
}

/// Waits until nothing uses the device, or until the time is up: closing says then what is to be done.
fn wait_unused(dm: &Dm, device: &Device, limit: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    let tracked = Layer::Tracked.name(device.name.as_str());
    let mut told = false;
    while Instant::now() < deadline && dm.state(&tracked)?.is_some_and(|state| state.open_count > 0) {
        if !told {
            report::note(format_args!("{}: waiting until nothing uses it any more", device.name));
            told = true;
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// Whether the device is one that may be absent, and is.
fn is_absent(dm: &Dm, device: &Device) -> anyhow::Result<bool> {
    if !device.options.noauto && !device.options.nofail {
        return Ok(false);
    }
    for layer in stack::LAYERS {
        if dm.state(&layer.name(device.name.as_str()))?.is_some() {
            return Ok(false);
        }
    }
    Ok(device.metadata.resolve().and_then(|path| number_of(&path)).is_err())
}

/// Closes a device, with its data device or without; says what is lost without.
pub(super) fn close_device(
    dm: &Dm,
    device: &Device,
    data: Result<&Disk, &anyhow::Error>,
    metadata: &Disk,
) -> anyhow::Result<Closed> {
    let closed = lifecycle::close(dm, data.ok(), metadata)?;
    if let Closed::Unclean(_) = closed {
        let why = match data {
            Ok(disk) => format!("{}: is not the device that it was open on", disk.path.display()),
            Err(e) => format!("{e:#}"),
        };
        report::warn(format_args!(
            "{}: {why}; closed without it: whether something writes to it past tracking will not be known",
            device.name
        ));
    }
    Ok(closed)
}
