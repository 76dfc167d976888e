// SPDX-License-Identifier: GPL-3.0-or-later
//! `era points`: the points in time that a repository keeps.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;

use super::print_json;
use crate::report;
use crate::repository::manifest::{Manifest, Point};
use crate::repository::{Access, Repository};

const EXAMPLES: &str = "\
Examples:
  era points /srv/backups/data
  era points /srv/backups/data --json
  era points /srv/backups/data --cursor

A point can be named by its number, by a time (the last point that is not after
it), or from the last one back: latest, latest~1.

Exit status: 0; 1 there are no points yet, or with --cursor, a full copy is needed;
2 an error.";

/// List the points in time that a repository keeps
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Directory of the repository
    #[arg(value_name = "REPO")]
    repository: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// Where there is no repository: print null, exit status 1
    #[arg(long, requires = "json", hide = true)]
    if_any: bool,

    /// Print only what to give to `era send --since`
    #[arg(long, conflicts_with = "json")]
    cursor: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report<'a> {
    cursor: Option<String>,
    device: uuid::Uuid,
    block_size_bytes: u64,
    device_bytes: u64,
    points: &'a [Point],
}

/// Width of the longest bar.
const BAR: u64 = 16;

/// Returns whether there is what was asked for.
pub(super) fn run(args: &Args) -> anyhow::Result<bool> {
    if args.if_any && !Repository::exists(&args.repository) {
        print_json(&())?;
        return Ok(false);
    }
    let manifest = read(&args.repository)?;
    let cursor = manifest.cursor().map(|cursor| cursor.to_string());
    let mut out = io::stdout().lock();
    if args.cursor {
        let Some(cursor) = cursor else { return Ok(false) };
        writeln!(out, "{cursor}").context("cannot write to stdout")?;
        return Ok(true);
    }
    if args.json {
        print_json(&Report {
            cursor,
            device: manifest.device,
            block_size_bytes: manifest.block_size_bytes,
            device_bytes: manifest.device_bytes,
            points: &manifest.points,
        })?;
    } else {
        out.write_all(describe(&manifest, Timestamp::now()).as_bytes()).context("cannot write to stdout")?;
    }
    Ok(!manifest.points.is_empty())
}

fn read(path: &Path) -> anyhow::Result<Manifest> {
    let repository = Repository::open(path, Access::Read)?;
    repository.known()
}

/// A table of 80 columns.
fn describe(manifest: &Manifest, now: Timestamp) -> String {
    let most = manifest.points.iter().map(|point| point.changed_bytes).max().unwrap_or(0).max(1);
    let mut text =
        format!("{:>6}  {:<20}  {:>7}  {:>10}  {:>10}\n", "point", "time", "age", "changed", "held");
    for point in &manifest.points {
        // In UTC, like everything that is logged.
        let time = point.time.strftime("%Y-%m-%dT%H:%M:%SZ");
        let bar = "#".repeat(usize::try_from((point.changed_bytes * BAR).div_ceil(most)).unwrap_or(0));
        let line = format!(
            "{:>6}  {time:<20}  {:>7}  {:>10}  {:>10}  {bar}",
            point.id,
            age(now, point.time),
            report::size(point.changed_bytes).to_string(),
            report::size(point.held_bytes).to_string(),
        );
        text.push_str(line.trim_end());
        text.push('\n');
        if let Some(note) = &point.note {
            text.push_str(&format!("        {note}\n"));
        }
        if let Some(why) = &point.suspect {
            text.push_str(&format!("        SUSPECT: {why}\n"));
        }
    }
    text
}

/// How long ago, in its largest unit.
fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs();
    match seconds {
        ..0 => "-".into(),
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::stream::{Consistency, Kind};

    #[test]
    fn the_table() {
        let mut manifest = Manifest::new(Uuid::nil(), Uuid::nil(), 4096, 1 << 30);
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        for (id, at, changed, held) in
            [(1, "2026-11-22T03:00:00Z", 1 << 30, 5 << 20), (2, "2026-11-24T02:00:00Z", 52 << 20, 0)]
        {
            let mut point = Point::new(id, time(at), Consistency::Snapshot, Kind::Full, 1 << 30);
            (point.changed_bytes, point.held_bytes) = (changed, held);
            manifest.points.push(point);
        }
        manifest.points[1].suspect = Some("it differs".into());
        let expected = [
            " point  time                      age     changed        held",
            "     1  2026-11-22T03:00:00Z      2 d     1.0 GiB     5.0 MiB  ################",
            "     2  2026-11-24T02:00:00Z      1 h    52.0 MiB         0 B  #",
            "        SUSPECT: it differs",
        ];
        let text = describe(&manifest, time("2026-11-24T03:30:00Z"));
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert!(text.lines().all(|line| line.len() <= 80));
    }
}
