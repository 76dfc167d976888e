// SPDX-License-Identifier: GPL-3.0-or-later
//! `era status`: what tracked devices there are and how they are.

use std::fmt::Write;

use anyhow::bail;

use super::print_json;
use super::tracked::table;
use crate::device::dm::Dm;
use crate::device::eratab::{DeviceSpec, Entry, Name};
use crate::device::status::{Activity, Kind, Seen, Status, of_active, of_stack};
use crate::device::tracked::active;
use crate::report;

const EXAMPLES: &str = "\
Examples:
  era status
  era status data --json

Devices of /etc/eratab are shown, and all other dm-era devices that are active.
A suspended device is shown as that; it cannot be asked for more. NOT TRACKED is
a device whose dm-era could not be resumed and was taken out so that I/O goes on.

Exit status: 0 all is well; 1 something is wrong with a device, or with a line of
eratab; 2 an error.";

/// Show tracked devices and what is wrong with them
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Only this device
    name: Option<Name>,

    /// Print a JSON array with an object for each device
    #[arg(long)]
    json: bool,
}

/// Returns whether all is well.
pub(super) fn run(args: &Args) -> anyhow::Result<bool> {
    let dm = Dm::open()?;
    let table = table()?;
    let entries = table.entries;
    let mut devices: Vec<Status> = entries.iter().map(|entry| of_entry(&dm, entry)).collect();
    for name in active(&dm)? {
        if entries.iter().all(|entry| entry.name.as_str() != name) {
            devices.extend(of_active(&dm, &name)?);
        }
    }
    if let Some(name) = &args.name {
        devices.retain(|status| status.name == name.as_str());
        if devices.is_empty() {
            bail!("{name}: there is no such tracked device, neither in the table nor active");
        }
    }
    if args.json {
        print_json(&devices)?;
    } else {
        devices.iter().for_each(|status| print!("{}", describe(status)));
    }
    let lines_are_good = args.name.is_some() || table.problems.is_empty();
    Ok(lines_are_good && devices.iter().all(|status| status.problems.is_empty()))
}

fn of_entry(dm: &Dm, entry: &Entry) -> Status {
    let open = |spec: &DeviceSpec| Seen::open(&spec.resolve()?);
    of_stack(dm, &entry.name, open(&entry.data), open(&entry.metadata))
}

/// A few lines for people.
fn describe(status: &Status) -> String {
    let state = match status.state {
        Activity::Closed => "closed",
        Activity::Open => "open",
        Activity::Suspended => "suspended",
        Activity::Untracked => "open, NOT TRACKED",
        Activity::Partial => "half open",
    };
    let mut text = String::new();
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<14}{value}");
        }
    };
    let bare = if status.kind == Kind::Bare { ", made by hand: without a header and snapshots" } else { "" };
    line(&status.name, Some(format!("{state}{bare}")));
    line("  data", status.data.clone());
    line("  size", status.data_bytes.map(|bytes| report::size(bytes).to_string()));
    line("  block size", status.block_size_bytes.map(|bytes| report::size(bytes).to_string()));
    line("  metadata", status.metadata.clone());
    line("  in use", usage(status));
    line("  era", status.current_era.map(|era| era.to_string()));
    let snapshots = [
        (status.snapshot, "is in place, of a command that is at work or was interrupted"),
        (status.metadata_snapshot == Some(true), "a metadata snapshot is held"),
    ];
    for (_, text) in snapshots.iter().filter(|(there, _)| *there) {
        line("  snapshot", Some((*text).into()));
    }
    line("  cow space", status.cow_bytes.map(|bytes| report::size(bytes).to_string()));
    line(
        "  discards",
        status
            .discards
            .map(|on| if on { "passed on: what is discarded is not mirrored" } else { "off" }.into()),
    );
    line("  device", status.device.map(|id| id.to_string()));
    line("  generation", status.generation.map(|id| id.to_string()));
    status.problems.iter().for_each(|problem| line("  PROBLEM", Some(problem.clone())));
    text
}

fn usage(status: &Status) -> Option<String> {
    let (used, total) = (status.metadata_used_blocks?, status.metadata_total_blocks?);
    Some(format!("{used} of {total} metadata blocks, {} %", used * 100 / total.max(1)))
}
