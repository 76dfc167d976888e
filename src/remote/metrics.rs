// SPDX-License-Identifier: GPL-3.0-or-later
//! What a run of `era backup` was like, as a file for the textfile collector of Prometheus' node exporter.
//!
//! The file is replaced as a whole, so that a collector never reads half of it. After a failure it has what the old one had
//! to say of the last success: an alert on its age fires whether runs fail, or there are none. The text is made without I/O.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;

use super::backup::Done;

/// More of an old file than it can have is not read.
const MAX_OLD_BYTES: u64 = 1 << 20;

/// A run that is over.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Where from.
    pub source: &'a str,
    /// Where to.
    pub repository: &'a str,
    /// When it was over.
    pub end: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// What it has done; nothing where it failed.
    pub done: Option<&'a Done>,
    /// Whether all is well with that.
    pub succeeded: bool,
}

/// Finds out early whether the file can be made.
pub fn check(path: &Path) -> anyhow::Result<()> {
    let directory = directory(path);
    if path.file_name().is_none() || path.is_dir() {
        bail!("{}: metrics are written to a file; name one, such as era.prom", path.display());
    }
    if !directory.is_dir() {
        bail!("{}: there is no such directory; make it, metrics are to be in it", directory.display());
    }
    Ok(())
}

/// Puts the metrics of a run in the place of those of the run before.
pub fn write(path: &Path, run: &Run) -> anyhow::Result<()> {
    let mut old = Vec::new();
    if let Ok(file) = File::open(path) {
        // Without it the last success is forgotten, which an alert shows.
        let _ = file.take(MAX_OLD_BYTES).read_to_end(&mut old);
    }
    let text = text(&String::from_utf8_lossy(&old), run);
    let new = new_name(path);
    let replaced = replace(path, &new, text.as_bytes());
    if replaced.is_err() {
        let _ = fs::remove_file(&new);
    }
    replaced.with_context(|| format!("{}: cannot write the metrics", path.display()))
}

fn replace(path: &Path, new: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(new)?;
    file.write_all(text)?;
    // The collector is another user, whatever the umask.
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.sync_all()?;
    fs::rename(new, path)?;
    File::open(directory(path))?.sync_all()
}

/// Not one that ends in .prom, which would be collected; no other run uses it.
fn new_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    directory(path).join(format!(".{name}.{}", std::process::id()))
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Of the last run, whatever came of it, and of the last one that succeeded.
fn text(old: &str, run: &Run) -> String {
    let labels = format!("{{source=\"{}\",repository=\"{}\"}}", escape(run.source), escape(run.repository));
    let end = run.end.as_second().to_string();
    let done = |value: fn(&Done) -> String| run.done.map(value);
    let metrics = [
        ("last_run_timestamp_seconds", "When the last run ended, whatever came of it.", Some(end.clone())),
        ("last_run_success", "Whether the last run succeeded.", Some(u8::from(run.succeeded).to_string())),
        (
            "duration_seconds",
            "How long the last run took, hooks included.",
            Some(format!("{:.3}", run.duration.as_secs_f64())),
        ),
        (
            "last_success_timestamp_seconds",
            "When the last run that succeeded ended; 0 where none has.",
            run.succeeded.then_some(end),
        ),
        (
            "transferred_bytes",
            "Bytes that the last run that added a point sent.",
            done(|done| done.transferred_bytes.to_string()),
        ),
        (
            "changed_bytes",
            "Bytes in units that are not as at the point before; of a restic repository, in segments that were read.",
            done(|done| done.point.changed_bytes().to_string()),
        ),
        (
            "changed_blocks",
            "Units, which are blocks of at most 4 MiB, that are not as at the point before; of a restic repository, segments of 1 MiB.",
            done(|done| done.changed_units.to_string()),
        ),
        (
            "writes_held_seconds",
            "The longest time for which writes to the device waited during the last run that added a point.",
            done(|done| Duration::from_nanos(done.point.freeze_nanoseconds()).as_secs_f64().to_string()),
        ),
        ("points", "Points that the repository keeps.", done(|done| done.points.to_string())),
        (
            "suspect",
            "Points that may not be what the device was.",
            done(|done| done.suspect_points.to_string()),
        ),
    ];
    let mut text = String::new();
    for (name, help, value) in metrics {
        let name = format!("era_backup_{name}");
        let never = (name == "era_backup_last_success_timestamp_seconds").then(|| "0".to_owned());
        let kept = || value_in(old, &format!("{name}{labels} "));
        if let Some(value) = value.or_else(kept).or(never) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name}{labels} {value}");
        }
    }
    text
}

/// The number on the line that begins so.
fn value_in(text: &str, beginning: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(beginning))?;
    value.parse::<f64>().is_ok_and(f64::is_finite).then(|| value.to_owned())
}

/// As the text format wants it in the value of a label.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::backup::NewPoint;
    use crate::repository::manifest::Point;
    use crate::stream::{Consistency, Kind};

    fn done() -> Done {
        let mut point = Point::new(7, Timestamp::UNIX_EPOCH, Consistency::Snapshot, Kind::Increment, 1 << 30);
        (point.changed_bytes, point.freeze_nanoseconds) = (8192, 2_500_000);
        Done {
            source: "vm1:vol".into(),
            repository: "/srv/vol".into(),
            point: NewPoint::Kept(point),
            cursor: None,
            points: 5,
            suspect_points: 1,
            removed_points: 0,
            changed_units: 2,
            transferred_bytes: 12_345,
            duration_seconds: 1.0,
        }
    }

    fn at(second: i64, done: Option<&Done>) -> Run<'_> {
        let end = Timestamp::from_second(second).unwrap();
        let succeeded = done.is_some_and(|done| done.point.suspect().is_none());
        Run {
            source: "vm1:vol",
            repository: "/srv/vol",
            end,
            duration: Duration::from_millis(1500),
            done,
            succeeded,
        }
    }

    const LABELS: &str = "{source=\"vm1:vol\",repository=\"/srv/vol\"}";

    fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
        let beginning = format!("era_backup_{name}{LABELS} ");
        text.lines().find_map(|line| line.strip_prefix(beginning.as_str()))
    }

    #[test]
    fn a_failure_keeps_what_is_known_of_the_last_success() {
        let never = text("", &at(50, None));
        assert_eq!(value(&never, "last_success_timestamp_seconds"), Some("0"));
        assert_eq!(value(&never, "points"), None);
        let success = text(&never, &at(100, Some(&done())));
        let failure = text(&success, &at(200, None));
        for (name, first, second) in [
            ("last_run_timestamp_seconds", "100", "200"),
            ("last_run_success", "1", "0"),
            ("duration_seconds", "1.500", "1.500"),
            ("last_success_timestamp_seconds", "100", "100"),
            ("transferred_bytes", "12345", "12345"),
            ("changed_bytes", "8192", "8192"),
            ("changed_blocks", "2", "2"),
            ("writes_held_seconds", "0.0025", "0.0025"),
            ("points", "5", "5"),
            ("suspect", "1", "1"),
        ] {
            assert_eq!((value(&success, name), value(&failure, name)), (Some(first), Some(second)), "{name}");
        }
        // Of others, and what is no number, nothing is kept.
        let other = Run { repository: "/srv/other", ..at(300, None) };
        assert!(
            text(&success, &other)
                .contains("last_success_timestamp_seconds{source=\"vm1:vol\",repository=\"/srv/other\"} 0\n")
        );
        // A point that is suspect is no success, but is there.
        let mut suspect = done();
        let NewPoint::Kept(point) = &mut suspect.point else { unreachable!() };
        point.suspect = Some("why".into());
        (suspect.points, suspect.suspect_points) = (6, 2);
        let suspect = text(&success, &at(300, Some(&suspect)));
        for (name, expected) in [
            ("last_run_success", "0"),
            ("last_success_timestamp_seconds", "100"),
            ("points", "6"),
            ("suspect", "2"),
        ] {
            assert_eq!(value(&suspect, name), Some(expected), "{name}");
        }
        let bad = success.replace(" 12345\n", " 1}2\n").replace(" 8192\n", " NaN\n");
        let failure = text(&bad, &at(200, None));
        assert_eq!((value(&failure, "transferred_bytes"), value(&failure, "changed_bytes")), (None, None));
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escape("a\"b\\c\nd"), r#"a\"b\\c\nd"#);
    }
}
