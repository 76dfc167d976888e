// SPDX-License-Identifier: GPL-3.0-or-later
//! The configuration of a backup, era-backup(5): a file that says what `era backup` is otherwise told by options.
//!
//! A key that nobody knows is an error: one that is misspelt must not be one that is left out. Reading is apart from what the
//! text means, which is a function without I/O.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use jiff::SignedDuration;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Level, parse_level};
use crate::cli::prune::parse_within;
use crate::cli::send::{Wanted, parse_duration};
use crate::cli::size;
use crate::remote::place::{SourcePlace, Target};
use crate::report;
use crate::repository::retention::Keep;

/// Where configurations are that are called by their name.
const DIRECTORY: &str = "/etc/era/backup";

/// More than any configuration has.
const MAX_BYTES: u64 = 1 << 20;

/// How long a hook may take that does not say so.
const HOOK_LIMIT: Duration = Duration::from_secs(600);

/// What a file says.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Config {
    #[serde(deserialize_with = "source")]
    pub source: Option<SourcePlace>,
    #[serde(deserialize_with = "repository")]
    pub repository: Option<Target>,
    /// Whether a restic repository is made where there is none.
    pub init: Option<bool>,
    #[serde(deserialize_with = "consistency")]
    pub consistency: Option<Wanted>,
    #[serde(deserialize_with = "duration")]
    pub freeze_timeout: Option<Duration>,
    #[serde(deserialize_with = "passes")]
    pub max_passes: Option<u32>,
    #[serde(deserialize_with = "level")]
    pub compress: Option<Level>,
    #[serde(deserialize_with = "bytes")]
    pub bandwidth_limit: Option<u64>,
    /// One in how many unchanged blocks is compared; none where 0.
    pub audit: Option<u64>,
    pub rsh: Option<String>,
    pub remote_era: Option<String>,
    #[serde(deserialize_with = "file")]
    pub metrics: Option<PathBuf>,
    #[serde(deserialize_with = "keep")]
    pub retention: Option<Keep>,
    pub hooks: Hooks,
}

/// What to run before and after.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Hooks {
    pub before_cut: Option<String>,
    pub after_cut: Option<String>,
    #[serde(deserialize_with = "limit")]
    pub time_limit: Duration,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { before_cut: None, after_cut: None, time_limit: HOOK_LIMIT }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Retention {
    keep_last: u32,
    keep_daily: u32,
    keep_weekly: u32,
    keep_monthly: u32,
    keep_yearly: u32,
    #[serde(deserialize_with = "within")]
    keep_within: Option<SignedDuration>,
}

/// The file that a name or a path means: what has a slash in it is a path.
pub(super) fn path_of(name: &Path) -> PathBuf {
    if name.as_os_str().as_bytes().contains(&b'/') {
        return name.to_owned();
    }
    Path::new(DIRECTORY).join(format!("{}.toml", name.display()))
}

/// Reads a file.
pub(super) fn read(path: &Path) -> anyhow::Result<Config> {
    let name = || path.display().to_string();
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    match read {
        Err(e) if e.kind() == io::ErrorKind::NotFound => bail!(
            "{}: there is no such file; a path to another one has a slash in it, such as ./NAME.toml",
            name()
        ),
        read => read.with_context(|| format!("{}: cannot read", name()))?,
    };
    if text.len() as u64 > MAX_BYTES {
        bail!("{}: is no configuration: it has more than {}", name(), report::size(MAX_BYTES));
    }
    parse(&text).map_err(|problem| anyhow::anyhow!("{}: {problem}", name()))
}

/// What a text means, or its first problem with the number of the line.
fn parse(text: &str) -> Result<Config, String> {
    toml::from_str(text).map_err(|e| {
        let message = report::one_line(e.message());
        let Some(at) = e.span().map(|span| span.start.min(text.len())) else { return message };
        let number = text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        let line = text.lines().nth(number - 1).unwrap_or_default().trim();
        format!("line {number}: {line}: {message}")
    })
}

/// A value that is written as a number or as a word, which a function understands.
struct Quantity<F>(&'static str, F);

impl<T, F: FnOnce(&str) -> Result<T, String>> Visitor<'_> for Quantity<F> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        (self.1)(text).map(Some).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        if number < 0 {
            return Err(E::invalid_value(Unexpected::Signed(number), &self));
        }
        (self.1)(&number.to_string()).map(Some).map_err(E::custom)
    }
}

/// A value that is a text, which a function understands.
fn text<'de, D: Deserializer<'de>, T>(
    from: D,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(from)?;
    parse(&text).map(Some).map_err(D::Error::custom)
}

fn source<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SourcePlace>, D::Error> {
    text(from, |text| text.parse::<SourcePlace>().map_err(|e| e.to_string()))
}

fn repository<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Target>, D::Error> {
    text(from, |text| {
        let target = text.parse::<Target>().map_err(|e| e.to_string())?;
        match &target {
            Target::Directory(place) if place.host.is_none() => drop(whole(&place.path)?),
            Target::Directory(_) => {}
            #[cfg(feature = "restic")]
            Target::Restic(url) => drop(url.directory().map(whole).transpose()?),
        }
        Ok(target)
    })
}

fn file<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    text(from, |text| whole(text).map(PathBuf::from))
}

/// What a path means must not depend on where a service begins.
fn whole(path: &str) -> Result<&str, String> {
    let message = || format!("{path:?} is relative to what? Write the whole path, from / on");
    path.starts_with('/').then_some(path).ok_or_else(message)
}

fn consistency<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Wanted>, D::Error> {
    text(from, |text| {
        Wanted::from_str(text, false).map_err(|_| "snapshot, freeze or none is needed".to_owned())
    })
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    from.deserialize_any(Quantity("a time, such as \"30s\"", parse_duration))
}

fn limit<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    duration(from).map(|limit| limit.unwrap_or(HOOK_LIMIT))
}

fn within<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SignedDuration>, D::Error> {
    from.deserialize_any(Quantity("a time, such as \"30d\"", parse_within))
}

fn passes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    match u32::deserialize(from)? {
        0 => Err(D::Error::custom("at least 1 is needed")),
        passes => Ok(Some(passes)),
    }
}

fn level<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Level>, D::Error> {
    from.deserialize_any(Quantity("a level from 1 to 19, or \"none\"", parse_level))
}

fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    from.deserialize_any(Quantity("a size, such as \"10M\"", size::parse))
}

fn keep<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Keep>, D::Error> {
    let asked = Retention::deserialize(from)?;
    let keep = Keep {
        last: asked.keep_last,
        daily: asked.keep_daily,
        weekly: asked.keep_weekly,
        monthly: asked.keep_monthly,
        yearly: asked.keep_yearly,
        within: asked.keep_within,
    };
    if keep.is_empty() {
        return Err(D::Error::custom(
            "nothing says what to keep: set keep_last, keep_daily or another of these",
        ));
    }
    Ok(Some(keep))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths() {
        for (name, path) in
            [("vol", "/etc/era/backup/vol.toml"), ("./vol", "./vol"), ("/srv/vol.toml", "/srv/vol.toml")]
        {
            assert_eq!(path_of(Path::new(name)), Path::new(path));
        }
    }

    #[test]
    fn nothing_is_required_and_everything_may_be_said() {
        assert_eq!(parse("# nothing\n"), Ok(Config::default()));
        let config = parse(include_str!("../../../dist/backup-example.toml")).unwrap();
        let place = "root@vm1:vol".parse().unwrap();
        assert_eq!(config.source, Some(place));
        // The same with all that is commented out.
        let all: String = include_str!("../../../dist/backup-example.toml")
            .lines()
            .map(|line| line.strip_prefix("#").filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        let config = parse(&all).unwrap();
        assert_eq!(config.init, Some(true));
        assert_eq!(config.consistency, Some(Wanted::Snapshot));
        assert_eq!(config.freeze_timeout, Some(Duration::from_secs(30)));
        assert_eq!(config.max_passes, Some(10));
        assert_eq!(config.compress, Some(Level::Zstd(1)));
        assert_eq!(config.bandwidth_limit, Some(10 << 20));
        assert_eq!(config.rsh.as_deref(), Some("ssh -p 22"));
        assert_eq!(config.remote_era.as_deref(), Some("/usr/local/bin/era"));
        assert_eq!(config.metrics, Some("/var/lib/prometheus/node-exporter/era-vol.prom".into()));
        let keep = config.retention.unwrap();
        assert_eq!((keep.last, keep.daily, keep.weekly, keep.monthly, keep.yearly), (3, 7, 4, 12, 2));
        assert_eq!(keep.within, Some(SignedDuration::from_hours(48)));
        assert!(config.hooks.before_cut.is_some() && config.hooks.after_cut.is_some());
        assert_eq!(config.hooks.time_limit, Duration::from_secs(300));
    }

    #[test]
    fn values_that_may_be_written_in_two_ways() {
        assert_eq!(parse("compress = \"none\"").unwrap().compress, Some(Level::None));
        assert_eq!(parse("compress = \"3\"").unwrap().compress, Some(Level::Zstd(3)));
        assert_eq!(parse("bandwidth_limit = 4096").unwrap().bandwidth_limit, Some(4096));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, says) in [
            ("sorce = 'vol'", "line 1: sorce = 'vol': unknown field `sorce`, expected one of `source`, "),
            ("\nsource = 3", "line 2: source = 3: invalid type: integer `3`, expected a string"),
            ("source = 'a b'", "line 1: "),
            ("repository = 'srv'", "relative to what? Write the whole path"),
            ("repository = 'restic:srv'", "relative to what? Write the whole path"),
            ("repository = 'restic:ftp:x'", "ftp is no kind of repository"),
            ("init = 1", "expected a boolean"),
            ("consistency = 'good'", "snapshot, freeze or none is needed"),
            ("freeze_timeout = 30", "a number and a unit are needed, such as 500ms, 30s or 2m"),
            ("max_passes = 0", "at least 1"),
            ("max_passes = 'x'", "line 1: max_passes = 'x': invalid type: string \"x\", expected u32"),
            ("compress = 20", "from 1 (fast) to 19 (small), or none"),
            ("compress = -1", "invalid value: integer `-1`, expected a level from 1 to 19, or \"none\""),
            ("bandwidth_limit = '10MB'", "is no size"),
            ("bandwidth_limit = []", "expected a size, such as \"10M\""),
            ("metrics = 'era.prom'", "Write the whole path"),
            ("rsh = ['ssh']", "expected a string"),
            ("\n\n[retention]\n", "line 3: [retention]: nothing says what to keep"),
            ("[retention]\nkeep_daily = -1", "line 2: keep_daily = -1: invalid value"),
            ("[retention]\nkeep_dayly = 1", "line 2: keep_dayly = 1: unknown field"),
            ("[retention]\nkeep_within = '1m'", "such as 12h, 30d or 8w"),
            (
                "[hooks]\nbefore = 'x'",
                "line 2: before = 'x': unknown field `before`, expected one of `before_cut`",
            ),
            ("[hooks]\ntime_limit = '25h'", "at most 24h"),
            ("source = 'a'\nsource = 'b'", "line 2: source = 'b': duplicate key"),
            ("source = 'vol", "line 1: source = 'vol: "),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(says), "{text:?}: {said}");
            assert!(said.starts_with("line ") && !said.contains('\n'), "{said}");
        }
    }
}
