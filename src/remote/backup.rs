// SPDX-License-Identifier: GPL-3.0-or-later
//! One backup: what changed since the repository's last point becomes its next one.
//!
//! Sender and receiver are processes of their own, here or elsewhere, whatever place they are in: the receiver says where
//! the repository is, the sender sends from there. Where the cursor is of no use, as tracking began anew, or the first copy
//! broke off, the receiver says what it has, as a list of hashes, and the sender sends what is different.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::child::{Ended, Worker};
use super::peer::{Peer, Reach};
use super::place::{SourcePlace, TargetPlace};
use super::pump::{Broken, pump};
use crate::report::{self, Progress, When};
use crate::repository::manifest::Point;
use crate::repository::unit_bytes;
use crate::stream::{Consistency, Kind};

/// What to do, and how.
#[derive(Clone, Debug)]
pub struct Job {
    /// Where from.
    pub source: SourcePlace,
    /// Where to.
    pub target: TargetPlace,
    /// How to reach the one that is elsewhere.
    pub reach: Reach,
    /// Arguments for `era send`, such as the consistency.
    pub send_options: Vec<String>,
    /// One in how many of the blocks that have not changed is compared nevertheless; none where 0.
    pub audit: u64,
    /// Compare everything, whatever tracking says, and keep this note with the point.
    pub repair: Option<String>,
    /// Bytes a second that may go through.
    pub limit: Option<u64>,
    /// When to show progress.
    pub progress: When,
}

/// What was done.
#[derive(Clone, Debug, Serialize)]
pub struct Done {
    /// Where from.
    pub source: String,
    /// Where to.
    pub repository: String,
    /// The new point.
    pub point: NewPoint,
    /// Where the next increment begins.
    pub cursor: Option<String>,
    /// Number of points.
    pub points: u64,
    /// Those of them that may not be what the device was.
    pub suspect_points: u64,
    /// Points that were taken away.
    pub removed_points: u64,
    /// Units that are not as at the point before.
    pub changed_units: u64,
    /// Bytes that went through.
    pub transferred_bytes: u64,
    /// How long it took.
    pub duration_seconds: f64,
}

/// The point that a backup added.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum NewPoint {
    /// Of a directory.
    Kept(Point),
    /// Of a restic repository.
    Snapshot(SnapshotPoint),
}

/// A point that is a snapshot of a restic repository.
#[derive(Clone, Debug, Serialize)]
pub struct SnapshotPoint {
    /// The beginning of the snapshot's id, which names it.
    pub id: String,
    /// When its stream was begun.
    pub time: Timestamp,
    /// Whether all blocks are of one moment.
    pub consistency: Consistency,
    /// What its stream held.
    pub kind: Kind,
    /// Size of the device.
    pub device_bytes: u64,
    /// Bytes in segments that were read.
    pub changed_bytes: u64,
    /// Bytes that were not in the repository yet, before compression.
    pub added_bytes: u64,
    /// How many times the changes were read; 0 where not known.
    pub passes: u32,
    /// How long writes waited.
    pub freeze_nanoseconds: u64,
}

impl NewPoint {
    /// What names it.
    pub fn id(&self) -> String {
        match self {
            NewPoint::Kept(point) => point.id.to_string(),
            NewPoint::Snapshot(point) => point.id.clone(),
        }
    }

    /// Why it may not be what the device was.
    pub fn suspect(&self) -> Option<&str> {
        match self {
            NewPoint::Kept(point) => point.suspect.as_deref(),
            NewPoint::Snapshot(_) => None,
        }
    }

    /// Bytes that are not as at the point before, as far as is known without comparing.
    pub fn changed_bytes(&self) -> u64 {
        match self {
            NewPoint::Kept(point) => point.changed_bytes,
            NewPoint::Snapshot(point) => point.changed_bytes,
        }
    }

    /// How long writes waited.
    pub fn freeze_nanoseconds(&self) -> u64 {
        match self {
            NewPoint::Kept(point) => point.freeze_nanoseconds,
            NewPoint::Snapshot(point) => point.freeze_nanoseconds,
        }
    }
}

/// What `era points --json` says.
#[derive(Deserialize)]
struct State {
    cursor: Option<String>,
    block_size_bytes: u64,
    points: Vec<Point>,
}

impl State {
    fn last(&self) -> Option<&Point> {
        self.points.last()
    }
}

/// What the sender is asked for.
enum Plan {
    Everything,
    Since(String),
    Difference,
}

impl Done {
    /// What is wrong with the new point, and what to do about it.
    pub fn trouble(&self) -> Option<String> {
        let why = self.point.suspect()?;
        Some(format!(
            "{}: point {} is SUSPECT: {why}. Something wrote past the tracker; era verify --repair {0} {} compares \
             everything and mends it",
            self.repository,
            self.point.id(),
            self.source
        ))
    }
}

impl Job {
    /// Finds out whether it can be done at all.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.source.host.is_some() && self.target.host.is_some() {
            bail!("source and repository are both on other machines; run era backup on one of them");
        }
        Ok(())
    }
}

/// Does the whole job.
pub fn backup(job: &Job) -> anyhow::Result<Done> {
    job.check()?;
    let begin = Instant::now();
    let sender = Peer::new(job.source.host.clone(), job.reach.clone());
    let receiver = Peer::new(job.target.host.clone(), job.reach.clone());
    let run = Run { job, sender, receiver };
    let before = run.state()?;
    let plan = match &before {
        None => Plan::Everything,
        Some(_) if job.repair.is_some() => Plan::Difference,
        Some(State { cursor: Some(cursor), .. }) => Plan::Since(cursor.clone()),
        Some(_) => Plan::Difference,
    };
    let last_id = before.as_ref().and_then(State::last).map(|point| point.id);
    let is_new = |point: &&Point| last_id != Some(point.id);
    let (transferred_bytes, after) = match run.send(&plan) {
        Ok(bytes) => (bytes, run.state()?.context("the repository is gone")?),
        // The receiver fails where it has a point that is suspect: that is there nevertheless.
        Err(e) => match run.state() {
            Ok(Some(after)) => match after.last().filter(is_new).filter(|point| point.suspect.is_some()) {
                Some(point) => {
                    // Most likely it says the same.
                    if !format!("{e:#}").contains("SUSPECT") {
                        report::warn(format_args!("{e:#}"));
                    }
                    (point.stream_bytes, after)
                }
                None => return Err(e),
            },
            _ => return Err(e),
        },
    };
    let Some(point) = after.last().filter(is_new).cloned() else {
        bail!("{}: no point was added, though nothing failed", job.target.path);
    };
    Ok(Done {
        source: place(&job.source.host, job.source.name.as_str()),
        repository: place(&job.target.host, &job.target.path),
        changed_units: point.changed_bytes.div_ceil(unit_bytes(after.block_size_bytes).max(1)),
        suspect_points: after.points.iter().filter(|point| point.suspect.is_some()).count() as u64,
        removed_points: 0,
        point: NewPoint::Kept(point),
        cursor: after.cursor,
        points: after.points.len() as u64,
        transferred_bytes,
        duration_seconds: Duration::as_secs_f64(&begin.elapsed()),
    })
}

/// A place as people write it.
pub(super) fn place(host: &Option<String>, what: &str) -> String {
    host.as_ref().map_or_else(|| what.to_owned(), |host| format!("{host}:{what}"))
}

struct Run<'a> {
    job: &'a Job,
    sender: Peer,
    receiver: Peer,
}

impl Run<'_> {
    fn receiver_args(&self, args: &[&str]) -> Vec<String> {
        let mut args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        // Whatever it begins with, it is a path.
        let path = &self.job.target.path;
        let is_odd = Path::new(path).is_relative() && path.starts_with('-');
        args.push(if is_odd { format!("./{path}") } else { path.clone() });
        args
    }

    /// What the repository has; `None` where there is none.
    fn state(&self) -> anyhow::Result<Option<State>> {
        let command = self.receiver.era(&self.receiver_args(&["points", "--json", "--if-any"]));
        let what = format!("{} on {}", "era points", self.receiver.name());
        let (text, ended) = Worker::start(what, command, Some(Stdio::null()), false)?.output()?;
        // No points yet, or no repository, is a valid no.
        if ended.code() != Some(1) {
            ended.check()?;
        }
        serde_json::from_str(&text)
            .with_context(|| format!("{}: era points says {text:?}", self.receiver.name()))
    }

    /// What the repository has.
    fn hashes(&self, options: &[&str]) -> anyhow::Result<Worker> {
        let command = self.receiver.era(&self.receiver_args(&[&["hashes"], options].concat()));
        let what = format!("era hashes on {}", self.receiver.name());
        Worker::start(what, command, Some(Stdio::null()), true)
    }

    /// What was planned, or where the sender says that its cursor is of no use, what is different. Returns how many bytes
    /// went through.
    fn send(&self, plan: &Plan) -> anyhow::Result<u64> {
        if let Some(bytes) = self.transfer(plan)? {
            return Ok(bytes);
        }
        report::note(format_args!(
            "{}: tracking began anew: everything is read, and what is different is sent",
            self.job.source.name
        ));
        self.transfer(&Plan::Difference)?.context("the sender needs a full copy, and does not make one")
    }

    /// One stream from the sender to the receiver. Nothing is returned where the sender says that its cursor is of no
    /// use; else how many bytes went through.
    fn transfer(&self, plan: &Plan) -> anyhow::Result<Option<u64>> {
        // The repository has the cursor.
        let mut args = vec!["send".to_owned(), self.job.source.name.to_string(), "--no-cursor".to_owned()];
        args.extend(self.job.send_options.iter().cloned());
        let mut list = None;
        match plan {
            Plan::Everything => {}
            Plan::Since(cursor) => {
                args.extend(["--since".to_owned(), cursor.clone()]);
                if self.job.audit > 0 {
                    args.push("--audit".into());
                    list = Some(self.hashes(&["--sample", &self.job.audit.to_string()])?);
                }
            }
            Plan::Difference => {
                args.push("--compare".into());
                let options: &[&str] = if self.job.repair.is_some() { &["--reread"] } else { &[] };
                list = Some(self.hashes(options)?);
            }
        }
        let stdin = match list.as_mut().and_then(|list| list.stdout.take()) {
            Some(hashes) => hashes.into(),
            None => Stdio::null(),
        };
        let what = format!("era send on {}", self.sender.name());
        let mut sender = Worker::start(what, self.sender.era(&args), Some(stdin), true)?;
        let what = format!("era receive on {}", self.receiver.name());
        let mut words = vec!["receive"];
        if let Some(note) = &self.job.repair {
            words.extend(["--note", note]);
        }
        let command = self.receiver.era(&self.receiver_args(&words));
        let mut receiver = Worker::start(what, command, None, false)?;
        let (Some(from), Some(to)) = (sender.stdout.take(), receiver.stdin.take()) else {
            bail!("the processes have no pipes");
        };
        let progress = Progress::new(self.job.progress, None);
        // What it is given it takes over, so that the receiver sees the end.
        let moved = pump(from, to, self.job.limit, &progress);
        progress.finish();
        let (sender, receiver) = (sender.wait()?, receiver.wait()?);
        let list = list.map(Worker::wait).transpose()?;
        let is_useless = matches!(plan, Plan::Since(_)) && sender.code() == Some(1);
        if is_useless && matches!(moved, Ok(0)) {
            return Ok(None);
        }
        let list = list.filter(|list| self.job.repair.is_none() || list.answer().is_err());
        judge(moved, list.as_ref(), &sender, &receiver).map(Some)
    }
}

/// Whose failure it is: a sender whose reader went away has not failed, nor has a receiver whose stream broke off.
fn judge(
    moved: Result<u64, Broken>,
    list: Option<&Ended>,
    sender: &Ended,
    receiver: &Ended,
) -> anyhow::Result<u64> {
    if let Some(list) = list.filter(|list| !list.lost_its_reader()) {
        list.check()?;
    }
    match moved {
        Ok(bytes) => {
            sender.check()?;
            receiver.check()?;
            Ok(bytes)
        }
        Err(Broken::Reading(e)) => {
            sender.check()?;
            Err(e).context(sender.what.clone())
        }
        Err(Broken::Writing(e)) => {
            receiver.check()?;
            // Not as the cause: a broken pipe is taken for a reader of our own output that has gone away.
            bail!("{}: ended before the stream did ({e})", receiver.what)
        }
    }
}
