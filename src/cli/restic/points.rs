// SPDX-License-Identifier: GPL-3.0-or-later
//! `era points restic:URL`: the points of one device, or of all.

use std::io::{self, Write};

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;

use super::Question;
use super::place::{Place, open_and_list};
use crate::cli::points::{Held, Row, describe};
use crate::cli::print_json;
use crate::report;
use crate::report::terminal::Terminal;
use crate::restic::open::open_if_any;
use crate::restic::points::{Device, Point, choose, find};
use crate::stream::{Consistency, Kind};

/// What is printed as JSON of a device: the same as of a directory, and what it is called.
#[derive(Serialize)]
struct Report<'a> {
    cursor: Option<String>,
    device: uuid::Uuid,
    host: &'a str,
    name: &'a str,
    /// Changes are kept in segments, whatever the size of dm-era's blocks.
    block_size_bytes: u64,
    device_bytes: u64,
    points: Vec<PointReport<'a>>,
}

/// A point: the same fields as those of a directory, as far as the snapshot has them.
#[derive(Serialize)]
struct PointReport<'a> {
    id: String,
    snapshot: String,
    time: Timestamp,
    name: &'a str,
    consistency: Consistency,
    kind: Kind,
    device_bytes: u64,
    changed_bytes: u64,
    stream_bytes: u64,
    passes: u32,
    freeze_nanoseconds: u64,
    held_bytes: u64,
    added_bytes: u64,
    audited_units: u64,
}

/// Returns whether there is what was asked for.
pub(crate) fn points(place: &Place, question: &Question) -> anyhow::Result<bool> {
    if question.if_any && open_if_any(&place.url)?.is_none() {
        print_json(&())?;
        return Ok(false);
    }
    let (opened, devices) = open_and_list(&place.url)?;
    let name = || opened.name.clone();
    let devices = match (&place.which, question.device) {
        (Some(which), wanted) => vec![only(find(devices, wanted, which).with_context(name)?)],
        (None, Some(_)) => vec![choose(devices, question.device).with_context(name)?],
        (None, None) if question.cursor && devices.len() > 1 => {
            vec![choose(devices, None).with_context(name)?]
        }
        (None, None) => devices,
    };
    let mut out = io::stdout().lock();
    if question.cursor {
        let Some(cursor) = devices.first().and_then(cursor_of) else { return Ok(false) };
        writeln!(out, "{cursor}").context("cannot write to stdout")?;
        return Ok(true);
    }
    for device in &devices {
        if question.json {
            print_json(&report(device))?;
        } else {
            let title = (devices.len() > 1).then(|| format!("{}\n", device.title()));
            let rows: Vec<_> = device.points.iter().map(row).collect();
            let table = describe(&rows, Held::Added, Timestamp::now(), &Terminal::stdout(None));
            write!(out, "{}{table}", title.unwrap_or_default()).context("cannot write to stdout")?;
        }
    }
    if devices.is_empty() && !question.json {
        report::note(format_args!("{}: there are no points yet", opened.name));
    }
    Ok(!devices.is_empty())
}

/// A device as if it had only this point.
fn only((mut device, at): (Device, usize)) -> Device {
    device.points = vec![device.points.swap_remove(at)];
    device
}

fn cursor_of(device: &Device) -> Option<String> {
    Some(device.last_with_cursor()?.1.to_string())
}

fn report(device: &Device) -> Report<'_> {
    let last = device.last();
    Report {
        cursor: cursor_of(device),
        device: device.id,
        host: &device.host,
        name: &device.name,
        block_size_bytes: last.map_or(0, |point| point.mark.segment_bytes),
        device_bytes: last.map_or(0, |point| point.mark.device_bytes),
        points: device.points.iter().map(point_report).collect(),
    }
}

fn point_report(point: &Point) -> PointReport<'_> {
    let how = point.mark.how;
    PointReport {
        id: point.id(),
        snapshot: point.snapshot.to_hex().as_str().to_owned(),
        time: point.time,
        name: &point.name,
        consistency: how.map_or(Consistency::Unknown, |how| how.consistency),
        kind: how.map_or(Kind::Full, |how| how.kind),
        device_bytes: point.mark.device_bytes,
        changed_bytes: how.map_or(0, |how| how.changed_bytes),
        stream_bytes: 0,
        passes: how.map_or(0, |how| how.passes),
        freeze_nanoseconds: how.map_or(0, |how| how.held_nanoseconds),
        // Nothing leads back to a point from the next one.
        held_bytes: 0,
        added_bytes: point.added_bytes,
        audited_units: 0,
    }
}

fn row(point: &Point) -> Row<'_> {
    Row {
        id: point.id(),
        time: point.time,
        changed_bytes: point.mark.how.map_or(0, |how| how.changed_bytes),
        held_bytes: point.added_bytes,
        note: None,
        suspect: None,
    }
}
