// SPDX-License-Identifier: GPL-3.0-or-later
//! A point goes back onto a device, or into a file. Every unit is checked before it is written.

use anyhow::{Context, bail};

use super::bulk::{Contents, Zeros};
use super::view::{View, check, place};
use crate::blockio::{WriteAt, write_full};
use crate::report::{self, Progress};
use crate::units::Extent;

/// What was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Bytes that were written.
    pub data_bytes: u64,
    /// Bytes that are zeros, and took no space in a file.
    pub zero_bytes: u64,
}

/// Writes units of a point to a target that nobody else uses: all, or those in `only`. In a target that is `blank`, as
/// a new file is, zeros are there already.
pub fn restore(
    view: &mut View,
    target: &dyn WriteAt,
    blank: bool,
    only: impl Iterator<Item = u64>,
    progress: &Progress,
) -> anyhow::Result<Restored> {
    let geometry = view.geometry();
    let has = target.size();
    if target.can_grow() {
        target.grow(geometry.device_bytes).context("cannot make the file as large as the device")?;
    } else if has < geometry.device_bytes {
        bail!(
            "the target has {has} bytes, the device of the point {}: nothing was written",
            geometry.device_bytes
        );
    } else if has > geometry.device_bytes {
        report::warn(format_args!(
            "the target has {has} bytes, the device of the point only {}: the rest stays as it is",
            geometry.device_bytes
        ));
    }
    let mut restored = Restored { data_bytes: 0, zero_bytes: 0 };
    let mut zeros: Option<Extent> = None;
    let what = view.describe();
    view.read_units(only, Zeros::Trust, &mut |unit, found| {
        let extent = geometry.extent(unit);
        let found = found.with_context(|| place(&what, extent))?;
        check(found.hash, found.expected, &what, extent)?;
        match found.contents {
            Contents::Zeros => {
                restored.zero_bytes += extent.len;
                match &mut zeros {
                    Some(run) if run.end() == extent.offset => run.len += extent.len,
                    _ => write_zeros(target, blank, zeros.replace(extent))?,
                }
            }
            Contents::Bytes(bytes) => {
                write_full(target, &bytes, extent.offset).with_context(|| {
                    format!("cannot write {} bytes at offset {}", extent.len, extent.offset)
                })?;
                restored.data_bytes += extent.len;
            }
        }
        progress.advance(extent.len);
        Ok(())
    })?;
    write_zeros(target, blank, zeros)?;
    target.sync().context("cannot make the data durable")?;
    Ok(restored)
}

fn write_zeros(target: &dyn WriteAt, blank: bool, extent: Option<Extent>) -> anyhow::Result<()> {
    match extent.filter(|_| !blank) {
        None => Ok(()),
        Some(extent) => target
            .zero(extent)
            .with_context(|| format!("cannot zero {} bytes at offset {}", extent.len, extent.offset)),
    }
}
