// SPDX-License-Identifier: GPL-3.0-or-later
//! A backup into a restic repository: `era send` as a process of its own, its stream archived by this one.
//!
//! The index of the repository is read before the sender starts, so that nothing is held still for that. The snapshot is written when the
//! sender, guardian and all, has ended well; until then there is none, whatever happens.

use std::io::{self, Read};
use std::process::{ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use jiff::tz::TimeZone;

use super::backup::{Done, NewPoint, SnapshotPoint, place};
use super::child::Worker;
use super::peer::{Peer, Reach};
use super::place::SourcePlace;
use super::pump::due;
use super::work::Left;
use crate::device::cursor::Cursor;
use crate::device::dm::Dm;
use crate::device::failpoint;
use crate::device::tracked::Tracked;
use crate::report::{self, Progress, When};
use crate::repository::retention::Keep;
use crate::restic::backup::{Added, ParentDamaged, Target, host};
use crate::restic::layout::{SEGMENT_BYTES, image_path};
use crate::restic::open::{open, open_or_make};
use crate::restic::parent::{Reason, Wanted};
use crate::restic::points::{devices, of_device};
use crate::restic::prune::{forget, free, unneeded};
use crate::restic::url::Url;
use crate::stopping;
use crate::stream::{Consistency, Kind};

/// What to do, and how.
#[derive(Clone, Debug)]
pub struct Job {
    /// Where from; only what is on this machine can be done.
    pub source: SourcePlace,
    /// Where to.
    pub url: Url,
    /// How to start `era` here.
    pub reach: Reach,
    /// Arguments for `era send`, such as the consistency.
    pub send_options: Vec<String>,
    /// Whether to make the repository if it is not there.
    pub init: bool,
    /// Whether to read everything, whatever tracking says.
    pub full: bool,
    /// Bytes a second that may be read.
    pub limit: Option<u64>,
    /// When to show progress.
    pub progress: When,
}

impl Job {
    /// Finds out whether it can be done at all.
    pub fn check(&self) -> anyhow::Result<()> {
        if let Some(host) = &self.source.host {
            bail!(
                "{host}:{0}: a restic repository is written by the machine that has the device; run `era backup {0} {1}` \
                 on {host}",
                self.source.name,
                self.url
            );
        }
        Ok(())
    }
}

/// The device, as it is before the sender has it.
struct Identity {
    device: uuid::Uuid,
    generation: uuid::Uuid,
    bytes: u64,
}

/// Adds a snapshot.
pub fn backup(job: &Job) -> anyhow::Result<Done> {
    job.check()?;
    failpoint::arm();
    let begin = Instant::now();
    let identity = identity_of(job)?;
    let opened = if job.init { open_or_make(&job.url)?.0 } else { open(&job.url)? };
    let mut target = Target::new(opened)?;
    let host = host()?;
    let added = match plan(job, &target, &identity, &host) {
        Err(reason) => everything(job, &mut target, &reason)?,
        Ok(cursor) => match transfer(job, &mut target, Some(cursor)) {
            Ok(Some(added)) => added,
            Ok(None) => everything(job, &mut target, &why_of_no_use(job, cursor)?)?,
            Err(e) if e.is::<ParentDamaged>() && stopping::signal().is_none() => {
                report::warn(format_args!("{e:#}"));
                everything(job, &mut target, &Reason::Damaged)?
            }
            Err(e) => return Err(e),
        },
    };
    failpoint::reach("restic-saved");
    Ok(done(job, &target, added, begin.elapsed()))
}

/// Takes old points of the device away, and marks or frees what no snapshot needs any more, where any did go.
pub fn let_go(job: &Job, keep: &Keep) -> anyhow::Result<Left> {
    let name = || job.url.to_string();
    let identity = identity_of(job)?;
    let opened = open(&job.url)?;
    let device = of_device(devices(&opened.all_snapshots()?), identity.device, &host()?);
    let Some(device) = device else { return Ok(Left { removed: 0, points: 0, suspect_points: 0 }) };
    // Asked to end, one leaves them to the next run.
    let going = match stopping::signal() {
        Some(_) => Vec::new(),
        None => unneeded(&device, keep, &TimeZone::system()),
    };
    let removed = going.len() as u64;
    if removed > 0 {
        forget(&opened.repository, &going).with_context(name)?;
        // Another machine may do the same at this moment, and the next run, or that one, frees what this one cannot.
        if let Err(e) = free(&opened.repository) {
            report::warn(format_args!("{}: {e:#}", job.url));
        }
    }
    Ok(Left { removed, points: device.points.len() as u64 - removed, suspect_points: 0 })
}

fn identity_of(job: &Job) -> anyhow::Result<Identity> {
    let dm = Dm::open()?;
    let tracked = Tracked::find(&dm, &job.source.name)?;
    // Its lock goes with it: the sender takes that.
    Ok(Identity { device: tracked.device, generation: tracked.generation, bytes: tracked.bytes })
}

fn plan(job: &Job, target: &Target, identity: &Identity, host: &str) -> Result<Cursor, Reason> {
    if job.full {
        return Err(Reason::Asked);
    }
    let path = image_path(job.source.name.as_str());
    let wanted = Wanted {
        device: identity.device,
        generation: identity.generation,
        device_bytes: identity.bytes,
        host,
        path: &path.to_string_lossy(),
    };
    target.parent(&wanted).map(|(_, cursor)| cursor)
}

/// The sender can do nothing with a cursor that was of the device's generation just before.
fn why_of_no_use(job: &Job, cursor: Cursor) -> anyhow::Result<Reason> {
    let is_of_now = identity_of(job)?.generation == cursor.generation;
    Ok(if is_of_now { Reason::Ahead(cursor.era.0) } else { Reason::OtherGeneration })
}

fn everything(job: &Job, target: &mut Target, reason: &Reason) -> anyhow::Result<Added> {
    report::note(format_args!(
        "{}: everything is read, and what the repository has not yet is uploaded: {reason}",
        job.source.name
    ));
    transfer(job, target, None)?.context("the sender needs a full copy, and does not make one")
}

/// One stream from the sender into the repository. Nothing is returned where the sender says that its cursor is of no use.
fn transfer(job: &Job, target: &mut Target, since: Option<Cursor>) -> anyhow::Result<Option<Added>> {
    let mut args = vec!["send".to_owned(), job.source.name.to_string(), "--no-cursor".to_owned()];
    args.extend(["--whole".to_owned(), SEGMENT_BYTES.to_string()]);
    args.extend(job.send_options.iter().cloned());
    args.extend(since.into_iter().flat_map(|cursor| ["--since".to_owned(), cursor.to_string()]));
    let peer = Peer::new(None, job.reach.clone());
    let mut sender = Worker::start("era send".into(), peer.era(&args), Some(Stdio::null()), true)?;
    let from = sender.stdout.take().context("the sender has no pipe")?;
    let mut sender = Some(sender);
    let input = Input { from, progress: Progress::new(job.progress, None) };
    let mut pace = Pace { moved: 0, begin: Instant::now(), limit: job.limit };
    let added = target.add(
        job.source.name.as_str(),
        input,
        move |bytes| pace.wait(bytes),
        || {
            let ended = sender.take().context("the sender is gone")?.wait()?;
            ended.check()?;
            stopping::check()
        },
    );
    // Where that failed, nobody reads what the sender writes, which ends it. Its own failure comes first.
    let Some(sender) = sender else { return added.map(Some) };
    let ended = sender.wait()?;
    if since.is_some() && ended.code() == Some(1) {
        return Ok(None);
    }
    if !ended.lost_its_reader() {
        ended.check()?;
    }
    added.map(Some)
}

/// What the sender writes.
struct Input {
    from: ChildStdout,
    progress: Progress,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.progress.advance(read as u64);
        Ok(read)
    }
}

/// How often it is looked whether one was asked to end.
const LOOK: Duration = Duration::from_millis(200);

/// No faster than one may. It is what is uploaded that waits, behind what was read ahead: the sender may have a filesystem frozen.
struct Pace {
    moved: u64,
    begin: Instant,
    limit: Option<u64>,
}

impl Pace {
    fn wait(&mut self, bytes: u64) {
        self.moved += bytes;
        let Some(limit) = self.limit else { return };
        // Asked to end, one waits no longer.
        while stopping::signal().is_none() {
            let left = due(self.moved, limit).saturating_sub(self.begin.elapsed());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(LOOK));
        }
    }
}

fn done(job: &Job, target: &Target, added: Added, duration: Duration) -> Done {
    let mark = &added.snapshot.mark;
    let how = mark.how;
    let point = SnapshotPoint {
        id: added.snapshot.file.id.to_string(),
        time: added.snapshot.file.time.timestamp(),
        consistency: how.map_or(Consistency::Unknown, |how| how.consistency),
        kind: how.map_or(Kind::Full, |how| how.kind),
        device_bytes: mark.device_bytes,
        changed_bytes: how.map_or(0, |how| how.changed_bytes),
        added_bytes: added.added_bytes + added.added_tree_bytes,
        passes: how.map_or(0, |how| how.passes),
        freeze_nanoseconds: how.map_or(0, |how| how.held_nanoseconds),
    };
    Done {
        source: place(&job.source.host, job.source.name.as_str()),
        repository: job.url.to_string(),
        point: NewPoint::Snapshot(point),
        cursor: mark.cursor.map(|cursor| cursor.to_string()),
        points: target.snapshots_of(mark.device, &added.snapshot.file.hostname).count() as u64 + 1,
        suspect_points: 0,
        removed_points: 0,
        changed_units: added.segments,
        transferred_bytes: added.uploaded_bytes,
        duration_seconds: duration.as_secs_f64(),
    }
}
