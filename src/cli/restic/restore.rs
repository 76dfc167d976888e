// SPDX-License-Identifier: GPL-3.0-or-later
//! `era restore restic:URL@POINT TARGET`.

use std::path::Path;

use anyhow::{Context, bail};

use super::Url;
use super::place::{Place, index, open_and_list};
use crate::cli::interrupt;
use crate::cli::restore::{Args, is_within, open_target, told};
use crate::cli::rewind::{self, Newest};
use crate::report::{Progress, When};
use crate::repository::Geometry;
use crate::restic::backup::host;
use crate::restic::image::Image;
use crate::restic::points::{Which, find};
use crate::restic::restore::{Only, restore as write_point};
use crate::units::Extent;

/// What a tracked device is restored in, where only what changed is written.
const UNIT_BYTES: u64 = 64 << 10;

pub(crate) fn restore(place: &Place, args: &Args) -> anyhow::Result<()> {
    refuse_own(&place.url, &args.target)?;
    let (opened, devices) = open_and_list(&place.url)?;
    let which = place.which.clone().unwrap_or(Which::FromLast(0));
    let (device, at) = find(devices, args.device.as_deref(), &which).with_context(|| opened.name.clone())?;
    let (repository, archive) = index(opened)?;
    let point = &device.points[at];
    let mut image = Image::open(&archive, &repository, point)?;
    let device_bytes = image.layout().device_bytes();
    let when = if args.progress { When::Always } else { When::OnTerminal };
    let explain = || interrupt::explain(format!("{}: is incomplete", args.target.display()));
    let name = || args.target.display().to_string();
    let restored = if args.only_changed {
        if device.host != host()? {
            bail!(
                "{} was backed up by {}, so that its newest point says nothing of a device here; restore without --only-changed",
                device.name,
                device.host
            );
        }
        let last = device.last_with_cursor();
        let newest = Newest { device: device.id, cursor: last.map(|(_, cursor)| cursor) };
        let geometry = Geometry::new(device_bytes, UNIT_BYTES)?;
        let mut changed: Vec<Extent> = Vec::new();
        if let Some((last, _)) = last {
            let mut last = Image::open(&archive, &repository, last)?;
            image.differences(&mut last, &mut |extent| {
                changed.push(extent);
                Ok(())
            })?;
        }
        let units = changed.iter().map(|extent| geometry.touched(*extent));
        let units = units.flat_map(|run| run.begin..run.end).map(Ok);
        let open = |path: &Path| open_target(path, false).with_context(name);
        let (rewind, (target, _)) = rewind::plan(&newest, geometry, units, &args.target, open)?;
        explain()?;
        let only = Only { geometry, units: &rewind.units };
        let bytes = rewind.units.runs().map(|run| run.blocks() * UNIT_BYTES).sum();
        let progress = Progress::new(when, Some(bytes));
        write_point(&mut image, &target, false, Some(only), &progress).with_context(name)?
    } else {
        let (target, blank) = open_target(&args.target, args.force)?;
        explain()?;
        let progress = Progress::new(when, Some(device_bytes));
        write_point(&mut image, &target, blank, None, &progress).with_context(name)?
    };
    told(&args.target, &point.id(), point.time, restored);
    Ok(())
}

/// A file of a repository that is a directory here would be lost as soon as it is opened.
fn refuse_own(repository: &Url, target: &Path) -> anyhow::Result<()> {
    if let Some(directory) = repository.directory()
        && is_within(Path::new(directory), target)?
    {
        bail!(
            "{}: is a part of the repository; restore to another place, and copy that if need be",
            target.display()
        );
    }
    Ok(())
}
