// SPDX-License-Identifier: GPL-3.0-or-later
//! `era udev-links`, called by our udev rule with the properties of a device in its environment. Prints `ERA_LINKS=` with
//! what is left of the links of a data device, or, with `era.attach=no`, `ERA_STAND_IN=` with one more; nothing for other
//! devices.
//!
//! udev waits for it, and the device is not there for anybody until then: it reads a file or two, and no device.

use std::env;
use std::path::Path;

use crate::boot::raw_links::{self, Properties};
use crate::device::disk::number_of;
use crate::device::eratab;

pub(crate) fn links() -> anyhow::Result<()> {
    let property = |name: &str| env::var(name).ok();
    let device = Properties {
        node: property("DEVNAME").unwrap_or_default(),
        links: property("DEVLINKS").unwrap_or_default(),
        partition_uuid: property("ID_PART_ENTRY_UUID"),
        partition_name: property("ID_PART_ENTRY_NAME"),
    };
    let number = property("MAJOR").zip(property("MINOR")).map(|(major, minor)| format!("{major}:{minor}"));
    let is_same = |path: &Path| number_of(path).is_ok_and(|found| Some(found.to_string()) == number);
    let table = eratab::read(Path::new(eratab::PATH))?;
    let attach = super::attach()?;
    let (opened, left): (Vec<_>, Vec<_>) =
        table.entries.iter().partition(|entry| attach || !entry.options.initrd_attach);
    if let Some(links) = raw_links::kept(&device, opened, is_same) {
        println!("ERA_LINKS={links}");
        println!("ERA_DATA_DEVICE=1");
    } else if let Some(link) = raw_links::stand_in(&device, left, is_same) {
        println!("ERA_STAND_IN={link}");
    }
    Ok(())
}
