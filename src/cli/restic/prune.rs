// SPDX-License-Identifier: GPL-3.0-or-later
//! `era prune restic:URL`.

use anyhow::{Context, bail};
use jiff::tz::TimeZone;

use super::place::{Place, open_and_list};
use crate::device::failpoint;
use crate::report;
use crate::repository::retention::Keep;
use crate::restic::points::choose;
use crate::restic::prune::{check_deletable, forget, free, unneeded};

pub(crate) fn prune(place: &Place, device: Option<&str>, keep: &Keep, dry_run: bool) -> anyhow::Result<()> {
    if place.which.is_some() {
        bail!(
            "a point is named; era prune takes away what the --keep options do not keep: name the repository alone"
        );
    }
    failpoint::arm();
    let (opened, devices) = open_and_list(&place.url)?;
    let name = || opened.name.clone();
    let device = choose(devices, device).with_context(name)?;
    if !dry_run {
        check_deletable(&opened.repository).with_context(name)?;
    }
    let going = unneeded(&device, keep, &TimeZone::system());
    let verb = if dry_run { "would go" } else { "goes" };
    for point in &going {
        println!("point {} of {} {verb}", point.id(), point.time);
    }
    let all = device.points.len();
    let kept = format!("{}: {} of {all} points of {} are kept", opened.name, all - going.len(), device.name);
    if dry_run {
        report::note(format_args!("{kept}"));
        return Ok(());
    }
    forget(&opened.repository, &going).with_context(name)?;
    let freed = free(&opened.repository).with_context(name)?;
    report::note(format_args!(
        "{kept}; {} freed, {} no longer needed, which a run in a week or later frees",
        report::size(freed.removed_bytes),
        report::size(freed.marked_bytes)
    ));
    Ok(())
}
