// SPDX-License-Identifier: GPL-3.0-or-later
//! Which point is meant: by its number, by a time, or from the last one back.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::bail;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use thiserror::Error;

use super::layout;
use super::manifest::Point;

/// How a point is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// `latest`, or `latest~N`: so many before the last one.
    FromLast(usize),
    /// Its number.
    Id(u64),
    /// The last one that is not after this time.
    Time(Timestamp),
}

/// A text that names no point.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "{0:?} is no point: latest, latest~2, the number of one, or a time such as 2026-11-24 or 2026-11-24T03:00"
)]
pub struct NoSelector(String);

impl FromStr for Selector {
    type Err = NoSelector;

    fn from_str(text: &str) -> Result<Self, NoSelector> {
        let no = || NoSelector(text.into());
        if let Some(back) = text.strip_prefix("latest") {
            return match back.strip_prefix('~') {
                None if back.is_empty() => Ok(Selector::FromLast(0)),
                Some(number) => number.parse().map(Selector::FromLast).map_err(|_| no()),
                None => Err(no()),
            };
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Selector::Id).map_err(|_| no());
        }
        parse_time(text).map(Selector::Time).ok_or_else(no)
    }
}

/// A time with its zone, or of the machine's zone; a date alone is its end.
fn parse_time(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let zone = TimeZone::system();
    // A date is a time as well, to the parser: its beginning.
    let is_date = !text.contains(['T', ' ', ':']);
    let civil = if is_date {
        text.parse::<Date>().ok()?.tomorrow().ok()?.at(0, 0, 0, 0)
    } else {
        text.parse::<DateTime>().ok()?
    };
    let time = zone.to_timestamp(civil).ok()?;
    if is_date { time.checked_sub(jiff::SignedDuration::from_nanos(1)).ok() } else { Some(time) }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::FromLast(0) => f.write_str("latest"),
            Selector::FromLast(back) => write!(f, "latest~{back}"),
            Selector::Id(id) => write!(f, "{id}"),
            Selector::Time(time) => write!(f, "{time}"),
        }
    }
}

/// The place among the points, which are sorted, of the one that is meant.
pub fn find(points: &[Point], selector: Selector) -> anyhow::Result<usize> {
    let found = match selector {
        Selector::FromLast(back) => points.len().checked_sub(back + 1),
        Selector::Id(id) => points.iter().position(|point| point.id == id),
        Selector::Time(time) => points.iter().rposition(|point| point.time <= time),
    };
    match (found, points) {
        (Some(at), _) => Ok(at),
        (None, []) => bail!("there are no points yet"),
        (None, [first, .., last] | [first @ last]) => bail!(
            "there is no point {selector}; there are {}, from {} ({}) to {} ({})",
            points.len(),
            first.id,
            first.time,
            last.id,
            last.time
        ),
    }
}

/// A repository and a point in it: `REPO` or `REPO@POINT`; the last one where none is named.
pub fn parse_place(text: &Path) -> anyhow::Result<(PathBuf, Selector)> {
    let (path, selector) = split_place(text)?;
    Ok((path, selector.unwrap_or(Selector::FromLast(0))))
}

/// The same, where it matters whether a point is named. A path with an `@` in it is a repository if there is one.
pub fn split_place(text: &Path) -> anyhow::Result<(PathBuf, Option<Selector>)> {
    let split = || {
        let (path, point) = text.to_str()?.rsplit_once('@')?;
        Some((PathBuf::from(path), point))
    };
    match split() {
        Some((path, point)) if !layout::manifest(text).exists() => Ok((path, Some(point.parse()?))),
        _ => Ok((text.to_owned(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Consistency, Kind};

    fn points() -> Vec<Point> {
        let time = |text: &str| text.parse().unwrap();
        [(1, "2026-01-01T00:00:00Z"), (4, "2026-01-02T00:00:00Z"), (5, "2026-01-03T00:00:00Z")]
            .map(|(id, at)| Point::new(id, time(at), Consistency::Snapshot, Kind::Full, 4096))
            .into()
    }

    fn id(selector: &str) -> Option<u64> {
        let points = points();
        find(&points, selector.parse().unwrap()).ok().map(|at| points[at].id)
    }

    #[test]
    fn points_are_found() {
        assert_eq!(id("latest"), Some(5));
        assert_eq!(id("latest~2"), Some(1));
        assert_eq!(id("latest~3"), None);
        assert_eq!(id("4"), Some(4));
        assert_eq!(id("2"), None);
        assert_eq!(id("2026-01-02T00:00:00Z"), Some(4));
        assert_eq!(id("2026-01-02T23:59:59+00:00"), Some(4));
        assert_eq!(id("2025-12-31T23:59:59Z"), None);
        assert_eq!(id("2030-05-05"), Some(5));
        assert_eq!(id("2030-05-05T12:00"), Some(5));
        assert!(find(&[], Selector::FromLast(0)).is_err());
    }

    #[test]
    fn what_names_no_point() {
        for bad in ["", "latest~", "latest~x", "latest2", "yesterday", "-1", "99999999999999999999999"] {
            assert!(bad.parse::<Selector>().is_err() || bad.is_empty(), "{bad}");
        }
    }

    #[test]
    fn a_path_may_have_an_at_sign() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a@b");
        std::fs::create_dir(&path).unwrap();
        assert!(parse_place(&path).is_err());
        std::fs::write(layout::manifest(&path), "").unwrap();
        assert_eq!(parse_place(&path).unwrap(), (path.clone(), Selector::FromLast(0)));
        let point = PathBuf::from(format!("{}@latest~1", path.display()));
        assert_eq!(parse_place(&point).unwrap(), (path, Selector::FromLast(1)));
    }
}
