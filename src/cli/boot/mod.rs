// SPDX-License-Identifier: GPL-3.0-or-later
//! What the system calls, not people: systemd's generator and its shutdown hook, a udev rule.

mod generator;
mod shutdown;
mod udev;

use std::fs;

use anyhow::Context;

use crate::boot::kernel_parameter;

pub(super) use generator::generate;
pub(super) use shutdown::shut_down;
pub(super) use udev::links;

/// Whether what eratab marks `x-initrd.attach` is wanted in this boot.
fn attach() -> anyhow::Result<bool> {
    let cmdline = fs::read_to_string(kernel_parameter::PATH).context(kernel_parameter::PATH)?;
    Ok(kernel_parameter::attach(&cmdline))
}
