// SPDX-License-Identifier: GPL-3.0-or-later
//! A point goes back onto a device, or into a file. Every unit is checked before it is written.

use anyhow::Context;

use super::bulk::{Contents, Zeros};
use super::target::{Restored, Target};
use super::view::{View, check, place};
use crate::blockio::WriteAt;
use crate::report::Progress;

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
    let mut target = Target::begin(target, blank, geometry.device_bytes)?;
    let what = view.describe();
    view.read_units(only, Zeros::Trust, &mut |unit, found| {
        let extent = geometry.extent(unit);
        let found = found.with_context(|| place(&what, extent))?;
        check(found.hash, found.expected, &what, extent)?;
        match found.contents {
            Contents::Zeros => target.zeros(extent)?,
            Contents::Bytes(bytes) => target.bytes(extent.offset, &bytes)?,
        }
        progress.advance(extent.len);
        Ok(())
    })?;
    target.finish()
}
