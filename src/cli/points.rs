// SPDX-License-Identifier: GPL-3.0-or-later
//! `era points`: the points in time that a repository keeps.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;

use super::{print_json, restic};
use crate::report;
use crate::report::terminal::Terminal;
use crate::repository::manifest::{Manifest, Point};
use crate::repository::{Access, Repository};

const EXAMPLES: &str = "\
Examples:
  era points /srv/backups/data
  era points /srv/backups/data --json
  era points /srv/backups/data --cursor
  era points restic:/srv/restic --device data

A point can be named by its number, by a time (the last point that is not after
it), or from the last one back: latest, latest~1. In a restic repository it is
named by the id of its snapshot in place of a number, of which 4 digits are enough.

Exit status: 0; 1 there are no points yet, or with --cursor, a full copy is needed;
2 an error.";

/// List the points in time that a repository keeps
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Directory of the repository, or restic:URL
    #[arg(value_name = "REPO")]
    repository: PathBuf,

    /// Of this device only, by name or uuid, in a restic repository
    #[arg(long, value_name = "NAME")]
    device: Option<String>,

    /// Print one JSON object; of a restic repository one for each device, one a line
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

/// Columns before the bars, and of what is said below a point.
const TABLE: usize = 65;
const INDENT: usize = 8;
/// Columns of the longest bar.
const LONGEST: usize = 60;

/// Returns whether there is what was asked for.
pub(super) fn run(args: &Args) -> anyhow::Result<bool> {
    if let Some(place) = restic::place_of(args.repository.as_os_str())? {
        let Args { device, json, if_any, cursor, .. } = args;
        let question =
            restic::Question { device: device.as_deref(), json: *json, if_any: *if_any, cursor: *cursor };
        return restic::points(&place, &question);
    }
    restic::refuse_device(args.device.as_deref(), &args.repository)?;
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
        out.write_all(table(&manifest, Timestamp::now(), &Terminal::stdout(None)).as_bytes())
            .context("cannot write to stdout")?;
    }
    Ok(!manifest.points.is_empty())
}

fn read(path: &Path) -> anyhow::Result<Manifest> {
    let repository = Repository::open(path, Access::Read)?;
    repository.known()
}

fn table(manifest: &Manifest, now: Timestamp, terminal: &Terminal) -> String {
    let rows: Vec<_> = manifest.points.iter().map(Row::from).collect();
    describe(&rows, Held::Back, now, terminal)
}

/// A point, as a line has it.
pub(super) struct Row<'a> {
    pub(super) id: String,
    pub(super) time: Timestamp,
    pub(super) changed_bytes: u64,
    pub(super) held_bytes: u64,
    pub(super) note: Option<&'a str>,
    pub(super) suspect: Option<&'a str>,
}

impl<'a> From<&'a Point> for Row<'a> {
    fn from(point: &'a Point) -> Self {
        Self {
            id: point.id.to_string(),
            time: point.time,
            changed_bytes: point.changed_bytes,
            held_bytes: point.held_bytes,
            note: point.note.as_deref(),
            suspect: point.suspect.as_deref(),
        }
    }
}

/// What the last column says.
#[derive(Clone, Copy)]
pub(super) enum Held {
    /// What is kept to get back to a point from the next one.
    Back,
    /// What was new to the repository.
    #[cfg_attr(not(feature = "restic"), expect(dead_code, reason = "a directory says what is held back"))]
    Added,
}

/// A table, and on a terminal bars beside it: how much was new each time.
pub(super) fn describe(points: &[Row], held: Held, now: Timestamp, terminal: &Terminal) -> String {
    let most = points.iter().map(|point| point.changed_bytes).max().unwrap_or(0);
    let longest = if terminal.is_terminal { terminal.columns.saturating_sub(TABLE).min(LONGEST) } else { 0 };
    let (width, last) = match held {
        Held::Back => (6, "held"),
        // Points are named by the ids of snapshots.
        Held::Added => (8, "added"),
    };
    let mut text =
        format!("{:>width$}  {:<20}  {:>7}  {:>10}  {:>10}\n", "point", "time", "age", "changed", last);
    for point in points {
        // In UTC, like everything that is logged.
        let time = point.time.strftime("%Y-%m-%dT%H:%M:%SZ");
        let line = format!(
            "{:>width$}  {time:<20}  {:>7}  {:>10}  {:>10}",
            point.id,
            age(now, point.time),
            report::size(point.changed_bytes).to_string(),
            report::size(point.held_bytes).to_string(),
        );
        // Numbers that do not fit into their columns take the place of the bar.
        let room = longest.saturating_sub(line.len().saturating_sub(TABLE - 2));
        let line = format!("{line}  {}", "#".repeat(bar(point.changed_bytes, most, room)));
        text.push_str(line.trim_end());
        text.push('\n');
        let notes = point
            .note
            .map(str::to_owned)
            .into_iter()
            .chain(point.suspect.map(|why| format!("SUSPECT: {why}")));
        for note in notes {
            let lines = terminal.lines_of(&note, INDENT);
            lines.iter().for_each(|line| text.push_str(&format!("{:INDENT$}{line}\n", "")));
        }
    }
    text
}

/// The length of a bar; whatever is not nothing can be seen.
fn bar(bytes: u64, most: u64, longest: usize) -> usize {
    let length = (u128::from(bytes) * longest as u128).div_ceil(u128::from(most.max(1)));
    usize::try_from(length).unwrap_or(longest).min(longest)
}

/// How long ago, in its largest unit.
fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs();
    match seconds {
        ..0 => "-".into(),
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        86_400..864_000_000 => format!("{} d", seconds / 86_400),
        _ => "ages".into(),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::cli::snapshot::assert_snapshot;
    use crate::report::terminal;
    use crate::stream::{Consistency, Kind};

    const TERMINAL: Terminal = Terminal { is_terminal: true, columns: 80, lines: 24, has_colour: false };
    const NOW: &str = "2026-11-24T03:30:00Z";

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn manifest(points: &[(u64, &str, u64, u64)]) -> Manifest {
        let mut manifest = Manifest::new(Uuid::nil(), Uuid::nil(), 4096, 1 << 30);
        for &(id, at, changed, held) in points {
            let mut point = Point::new(id, time(at), Consistency::Snapshot, Kind::Full, 1 << 30);
            (point.changed_bytes, point.held_bytes) = (changed, held);
            manifest.points.push(point);
        }
        manifest
    }

    #[test]
    fn bars_are_for_terminals() {
        let mut manifest = manifest(&[
            (1, "2026-11-22T03:00:00Z", 1 << 30, 5 << 20),
            (2, "2026-11-23T02:00:00Z", 512 << 20, 3 << 20),
            (3, "2026-11-24T02:00:00Z", 0, 1),
            (4, "2026-11-24T03:00:00Z", 1, 0),
        ]);
        manifest.points[1].note = Some("everything was read, as tracking had begun anew".into());
        manifest.points[3].suspect = Some("unit 17 differs, and nothing has said that it changed".into());
        assert_snapshot("points.txt", &table(&manifest, time(NOW), &TERMINAL));
        assert_snapshot(
            "points-wide.txt",
            &table(&manifest, time(NOW), &Terminal { columns: 120, ..TERMINAL }),
        );
        assert_snapshot("points-piped.txt", &table(&manifest, time(NOW), &Terminal::pipe()));
    }

    /// A repository's files may be anybody's.
    #[test]
    fn nothing_hostile_wraps_or_moves_the_cursor() {
        let mut manifest = manifest(&[
            (u64::MAX, "-009999-01-02T01:59:59Z", u64::MAX, u64::MAX),
            (0, "9999-12-30T22:00:00Z", u64::MAX - 1, 0),
        ]);
        manifest.points[0].note = Some(format!("\x1b[2J{}", "\u{6f22}".repeat(99)));
        assert_snapshot("points-hostile.txt", &table(&manifest, time(NOW), &TERMINAL));
        for columns in [78, 80, 200] {
            let text = table(&manifest, time(NOW), &Terminal { columns, ..TERMINAL });
            assert!(text.lines().all(|line| terminal::width(line) <= columns), "{text}");
        }
        assert!(!table(&manifest, time(NOW), &Terminal::pipe()).contains('\x1b'));
    }
}
