// SPDX-License-Identifier: GPL-3.0-or-later
//! `era hashes restic:URL@POINT`: what `era verify` compares with the device.

use std::io::BufWriter;

use anyhow::{Context, bail};

use super::place::{Place, index, open_and_list};
use crate::report::Progress;
use crate::restic::hashes::write_list;
use crate::restic::image::Image;
use crate::restic::points::{Which, find};
use crate::sys::raw_stdout;

/// Of all units of this size: of others than all, and without their size, a sender could make nothing.
pub(crate) fn hashes(place: &Place, sample: Option<u64>, unit_bytes: Option<u64>) -> anyhow::Result<bool> {
    let (Some(1), Some(unit_bytes)) = (sample, unit_bytes) else {
        bail!("of a restic repository there are hashes for era verify only; era backup needs none");
    };
    let (opened, devices) = open_and_list(&place.url)?;
    let which = place.which.clone().unwrap_or(Which::FromLast(0));
    let (device, at) = find(devices, None, &which).with_context(|| opened.name.clone())?;
    let (repository, archive) = index(opened)?;
    let mut image = Image::open(&archive, &repository, &device.points[at])?;
    let output = BufWriter::with_capacity(1 << 16, raw_stdout());
    write_list(&mut image, device.id, unit_bytes, output, &Progress::hidden())?;
    Ok(true)
}
