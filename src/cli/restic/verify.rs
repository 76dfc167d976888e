// SPDX-License-Identifier: GPL-3.0-or-later
//! `era verify restic:URL`: by itself, or against the device.

use std::io::{self, Write};

use anyhow::{Context, bail};
use serde::Serialize;

use super::place::{Place, index, open_and_list};
use crate::cli::print_json;
use crate::cli::verify::{Args, Outcome, tell as tell_compared};
use crate::device::dm::Dm;
use crate::device::tracked::Tracked;
use crate::remote::compare::compare;
use crate::remote::peer::Reach;
use crate::remote::place::SourcePlace;
use crate::report;
use crate::repository::Geometry;
use crate::restic::backup::host;
use crate::restic::check::{Damage, check_points, check_repository};
use crate::restic::points::{choose, of_device};
use crate::units::MAX_UNIT_BYTES;

#[derive(Serialize)]
struct Line<'a> {
    damage: &'a Damage,
}

/// Returns whether all is well.
pub(crate) fn verify(place: &Place, args: &Args) -> anyhow::Result<bool> {
    if args.repair {
        bail!(
            "--repair is for directories: what a restic repository has is never written over; era backup --full \
             reads everything, and uploads what the index of the repository does not have"
        );
    }
    if place.which.is_some() {
        bail!("a point is named; era verify looks at all of them: name the repository alone");
    }
    match &args.source {
        Some(source) => verify_with(place, args, source),
        None => verify_alone(place, args),
    }
}

fn verify_alone(place: &Place, args: &Args) -> anyhow::Result<bool> {
    let (opened, devices) = open_and_list(&place.url)?;
    let name = opened.name.clone();
    let devices = match &args.device {
        Some(device) => vec![choose(devices, Some(device)).with_context(|| name.clone())?],
        None => devices,
    };
    let mut count = 0;
    let mut tell = |damage: Damage| {
        count += 1;
        if args.json { print_json(&Line { damage: &damage }) } else { print(&damage) }
    };
    let damaged = check_repository(&opened.repository, &name, args.read_data, &mut tell)
        .with_context(|| name.clone())?;
    let (_, archive) = index(opened)?;
    for device in &devices {
        check_points(&archive, &name, device, &damaged, &mut tell)?;
    }
    let points: usize = devices.iter().map(|device| device.points.len()).sum();
    match (count, args.read_data) {
        (0, true) => report::note(format_args!("{name}: {points} points, all as they were")),
        (0, false) => report::note(format_args!(
            "{name}: {points} points, nothing is missing; whether the data are as they were, --read-data tells"
        )),
        (n, _) => report::note(format_args!(
            "{name}: {n} damages in {points} points; increments take over what did not change and do not look at it: remove \
             the damaged files, and run restic repair index, before restic 0.15 restic rebuild-index, so that the index has nothing of \
             them; era backup --full then uploads what the device still has of it"
        )),
    }
    Ok(count == 0)
}

fn print(damage: &Damage) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let Damage { file, problem, .. } = damage;
    let point = damage.point.as_ref().map_or_else(String::new, |point| format!(" point {point}:"));
    match (damage.offset, damage.length_bytes) {
        (Some(offset), Some(len)) => {
            writeln!(out, "{file}:{point} bytes {offset} to {} of the device: {problem}", offset + len - 1)
        }
        _ => writeln!(out, "{file}:{point} {problem}"),
    }
    .context("cannot write to stdout")
}

/// Everything is read, here and there: the list of hashes is made of what the repository gives back.
fn verify_with(place: &Place, args: &Args, source: &SourcePlace) -> anyhow::Result<bool> {
    if let Some(host) = &source.host {
        bail!("{host}: a restic repository is compared where the device is: run era verify there");
    }
    let (opened, devices) = open_and_list(&place.url)?;
    let name = opened.name.clone();
    drop(opened);
    let tracked = Tracked::find(&Dm::open()?, &source.name)?;
    let unit_bytes = tracked.block_size.bytes().min(MAX_UNIT_BYTES);
    let identity = tracked.device;
    // What is started takes the lock itself.
    drop(tracked);
    let device = of_device(devices, identity, &host()?).with_context(|| {
        format!(
            "{name}: there are no points of {} ({identity}) that this machine made; make a backup first",
            source.name
        )
    })?;
    let Some((point, cursor)) = device.last_with_cursor() else {
        bail!("{name}: no point of {} has a cursor; make a backup first", device.name);
    };
    let reach = Reach { rsh: Vec::new(), era: args.remote_era.clone() };
    let at = format!("{}@{}", place.text, point.snapshot.to_hex().as_str());
    let words = ["--sample", "1", "--unit-bytes", &unit_bytes.to_string(), &at].map(str::to_owned);
    let compared = compare(source, &words, &cursor.to_string(), &reach)?;
    let geometry = Geometry::new(point.mark.device_bytes, unit_bytes)?;
    let outcome = Outcome { name: &name, geometry, audit: &compared.audit };
    tell_compared(args.json, &outcome)?;
    Ok(compared.audit.differing == 0)
}
