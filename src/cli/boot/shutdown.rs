// SPDX-License-Identifier: GPL-3.0-or-later
//! The program called as `era-shutdown`, by systemd-shutdown(8) as the last thing before the machine goes off: all that can
//! be unmounted is, and / is read-only.
//!
//! It says what went wrong on the console, and nothing else: the machine goes off in any case.

use std::path::Path;

use anyhow::{Context, bail};

use crate::cli::tracked::Device;
use crate::device::dm::Dm;
use crate::device::eratab;
use crate::device::leaving::{Left, leave};
use crate::device::stack;
use crate::report;

/// Leaves all devices of the table in order.
pub(crate) fn shut_down() -> anyhow::Result<()> {
    let table = eratab::read(Path::new(eratab::PATH))?;
    if table.entries.is_empty() {
        return Ok(());
    }
    let dm = Dm::open()?;
    let mut failed = Vec::new();
    for device in table.entries.into_iter().map(Device::from) {
        match leave_one(&dm, &device).with_context(|| device.name.to_string()) {
            Ok(_) => {}
            Err(e) => {
                report::fail(format_args!("{e:#}"));
                failed.push(device.name.to_string());
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!(
        "not left in order: {}; whether something writes past tracking until the next boot will not be known",
        failed.join(", ")
    )
}

fn leave_one(dm: &Dm, device: &Device) -> anyhow::Result<Left> {
    // Disks of what is not open need not be there.
    if stack::LAYERS.iter().all(|layer| matches!(dm.state(&layer.name(device.name.as_str())), Ok(None))) {
        return Ok(Left::Already);
    }
    let metadata = device.metadata()?;
    leave(dm, &device.data()?, &metadata)
}
