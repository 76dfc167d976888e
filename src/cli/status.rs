// SPDX-License-Identifier: GPL-3.0-or-later
//! `era status`: what tracked devices there are and how they are.

use std::io::{self, Write};

use anyhow::{Context, bail};

use super::print_json;
use super::status_text::describe;
use super::tracked::table;
use crate::device::dm::Dm;
use crate::device::eratab::{DeviceSpec, Entry, Name};
use crate::device::status::{Seen, Status, of_active, of_stack};
use crate::device::tracked::active;
use crate::report::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  era status
  era status data --json

Devices of /etc/eratab are shown, and all other dm-era devices that are active.
One device is shown with all that is known of it; several are a table, and what is
wrong with them. A suspended device is shown as that; it cannot be asked for more. NOT TRACKED is
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
        let text = describe(&devices, &Terminal::stdout(None));
        io::stdout().lock().write_all(text.as_bytes()).context("cannot write to stdout")?;
    }
    let lines_are_good = args.name.is_some() || table.problems.is_empty();
    Ok(lines_are_good && devices.iter().all(|status| status.problems.is_empty()))
}

fn of_entry(dm: &Dm, entry: &Entry) -> Status {
    let open = |spec: &DeviceSpec| Seen::open(&spec.resolve()?);
    of_stack(dm, &entry.name, open(&entry.data), open(&entry.metadata))
}
