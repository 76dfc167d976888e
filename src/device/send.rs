// SPDX-License-Identifier: GPL-3.0-or-later
//! From a tracked device to a stream: passes while it is in use, then the cut.

use std::io::Read;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;

use super::audit::audit;
use super::compare::Comparer;
use super::cursor::Cursor;
use super::cut::{Ended, Freeze, Lost, Snapshot, barrier};
use super::dm::Dm;
use super::failpoint;
use super::metadata_snapshot::changed;
use super::mounts;
use super::plan::{self, Limit, Pass, Step};
use super::tracked::Tracked;
use crate::blockio::{ReadAt, Source};
use crate::copy::{copy_pass, extents, whole};
use crate::metadata::ChangedError;
use crate::report::{self, Progress, When};
use crate::runs::{BlockSet, Run};
use crate::stream::{
    AUDIT, BASE, Consistency, Encode, EncoderV2, HashListHeader, HashListReader, Header, Kind, Output,
};
use crate::units::{Era, Extent, MAX_BLOCKS, MAX_UNIT_BYTES};

/// What to send, and how.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// How far the receiver is; everything is sent where not given.
    pub since: Option<Cursor>,
    /// Whether to send everything where the cursor is of no use.
    pub full: bool,
    /// Of what moment the copy is; the best that the device can do where not given.
    pub consistency: Option<Consistency>,
    /// How long writes may be held back.
    pub freeze_limit: Duration,
    /// How many passes there may be, the cut included.
    pub max_passes: u32,
    /// Send whole units of this many bytes where anything in them changed; 1 for what changed alone.
    pub whole: u64,
    /// Level of compression with zstd.
    pub compress: Option<i32>,
    /// When to show progress.
    pub progress: When,
}

/// What was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Everything, or changes.
    pub kind: Kind,
    /// Of what moment the copy is.
    pub consistency: Consistency,
    /// The passes, the cut the last of them.
    pub passes: Vec<Pass>,
    /// The longest time for which writes were held back.
    pub held: Duration,
    /// Where the next increment begins.
    pub next: Cursor,
}

/// What would be sent.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Estimate {
    /// Everything, or changes.
    pub kind: Kind,
    /// Number of blocks.
    pub blocks: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Size of the device in bytes.
    pub device_bytes: u64,
}

/// The changes do not become few enough for a cut.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "no consistent copy after {passes} passes: {} changed during the last one, which sent {}; the cut may take {}. \
     Try again when less is written, {cure}",
    report::size(*.left),
    report::size(*.last),
    limit_text(.limit)
)]
pub struct NotConverging {
    /// Passes made.
    pub passes: u32,
    /// What is left to be sent, in bytes.
    pub left: u64,
    /// What the last pass sent, in bytes.
    pub last: u64,
    /// What limits the cut.
    pub limit: Limit,
    /// What else could help.
    pub cure: &'static str,
}

fn limit_text(limit: &Limit) -> String {
    match limit {
        Limit::Space(bytes) => format!("{} of snapshot space", report::size(*bytes)),
        Limit::Time(time) => format!("{} s", time.as_secs_f32()),
    }
}

/// Says how much a stream would hold.
pub fn estimate(dm: &Dm, tracked: &Tracked, request: &Request) -> anyhow::Result<Estimate> {
    let (kind, since) = begin(dm, tracked, request)?;
    let blocks = changed(dm, tracked, since)?.blocks;
    let bytes = bytes_in(&blocks, tracked, request.whole);
    Ok(Estimate { kind, blocks: blocks.len(), bytes, device_bytes: tracked.bytes })
}

/// What the receiver has told of what it has.
pub enum Told<R> {
    /// Nothing.
    Nothing,
    /// Everything: only what is different is sent.
    Compare(HashListReader<R>),
    /// A sample: what has not changed is compared with it after the copy.
    Audit(HashListReader<R>),
    /// All or a part: that is compared with it, and nothing is sent.
    OnlyAudit(HashListReader<R>),
}

/// Writes a stream of version 2.
pub fn send(
    dm: &Dm,
    tracked: &Tracked,
    request: &Request,
    told: Told<impl Read>,
    output: impl Output,
) -> anyhow::Result<Sent> {
    failpoint::arm();
    let (kind, since) = match &told {
        Told::Nothing => begin(dm, tracked, request)?,
        Told::Compare(list) => {
            check_list(&list.header, tracked)?;
            if list.header.first != 0 || list.header.stride != 1 {
                bail!("{}: the list of hashes is not of all that there is", tracked.name);
            }
            (Kind::Difference, Era(0))
        }
        Told::Audit(list) | Told::OnlyAudit(list) => {
            check_list(&list.header, tracked)?;
            let (kind, since) = begin(dm, tracked, request)?;
            // A stream without contents is nothing that could be received.
            (if matches!(told, Told::OnlyAudit(_)) { Kind::Difference } else { kind }, since)
        }
    };
    let only_audit = matches!(told, Told::OnlyAudit(_));
    let consistency = if only_audit { Consistency::None } else { choose(tracked, request.consistency)? };
    let header = Header {
        device: tracked.device,
        generation: tracked.generation,
        device_bytes: tracked.bytes,
        block_bytes: tracked.block_size.bytes(),
        since,
        kind,
        consistency,
        time: Timestamp::now(),
    };
    let encoder = EncoderV2::new(output, &header, request.compress, Era(0)).context(WRITING)?.in_parallel();
    let sent = BlockSet::new(tracked.bytes.div_ceil(tracked.block_size.bytes()));
    let mut sender =
        Sender { dm, tracked, request, encoder, since, passes: Vec::new(), held: Duration::ZERO, sent };
    let (mut base, mut sample) = (None, None);
    match told {
        Told::Nothing => {}
        Told::Compare(list) => base = Some(sender.compare(list)?),
        Told::Audit(list) | Told::OnlyAudit(list) => sample = Some(list),
    }
    let next = match consistency {
        _ if only_audit => sender.look()?,
        Consistency::Snapshot => sender.converge(Limit::Space(cow_bytes(tracked)))?,
        Consistency::Freeze => sender.converge(Limit::Time(request.freeze_limit))?,
        _ => {
            if base.is_none() {
                sender.pass()?;
            }
            sender.since
        }
    };
    if let Some(list) = sample {
        let progress = Progress::new(request.progress, None);
        let audit = audit(dm, tracked, list, &sender.sent, next, &progress)?;
        progress.finish();
        sender.encoder.optional(AUDIT, &audit.pack()).context(WRITING)?;
    }
    if let Some(base) = base {
        sender.encoder.optional(BASE, &base).context(WRITING)?;
    }
    sender.finish(next)?;
    let Sender { passes, held, .. } = sender;
    Ok(Sent { kind, consistency, passes, held, next: Cursor { generation: tracked.generation, era: next } })
}

const WRITING: &str = "cannot write the stream to stdout";

fn check_list(list: &HashListHeader, tracked: &Tracked) -> anyhow::Result<()> {
    if list.device != tracked.device {
        bail!(
            "{}: is device {}, the list of hashes is of device {}: another repository belongs to it",
            tracked.name,
            tracked.device,
            list.device
        );
    }
    // Foreign numbers: they say how much memory is needed.
    let unit_bytes = tracked.block_size.bytes().min(MAX_UNIT_BYTES);
    if list.unit_bytes != unit_bytes || list.device_bytes.div_ceil(unit_bytes) > MAX_BLOCKS {
        bail!(
            "{}: the list of hashes is of units of {} bytes on {} bytes, must be of units of {unit_bytes}",
            tracked.name,
            list.unit_bytes,
            list.device_bytes
        );
    }
    Ok(())
}

/// Where to begin: at the cursor, or with everything.
fn begin(dm: &Dm, tracked: &Tracked, request: &Request) -> anyhow::Result<(Kind, Era)> {
    let Some(cursor) = request.since else { return Ok((Kind::Full, Era(0))) };
    let refused = match cursor.era_in(tracked.generation) {
        Err(e) => anyhow!(e),
        Ok(since) => {
            let current = Era(dm.era_status(&tracked.name)?.era);
            if since <= current {
                return Ok((Kind::Increment, since));
            }
            anyhow!(ChangedError::FullCopyNeeded { since, current })
        }
    };
    if !request.full {
        return Err(refused.context(tracked.name.clone()));
    }
    report::note(format_args!("{}: {refused:#}: sending everything", tracked.name));
    Ok((Kind::Full, Era(0)))
}

/// What can be had, and says so where it is less than one might think.
fn choose(tracked: &Tracked, wanted: Option<Consistency>) -> anyhow::Result<Consistency> {
    let has_space = cow_bytes(tracked) > 0;
    let wanted = wanted.unwrap_or(if has_space { Consistency::Snapshot } else { Consistency::Freeze });
    match wanted {
        Consistency::Snapshot if !has_space => bail!(
            "{}: has no space for snapshots; use --consistency freeze or none, or create it anew with a larger \
             metadata device",
            tracked.name
        ),
        Consistency::Freeze if mounts::on(tracked.number)?.is_empty() => {
            report::note(format_args!(
                "{}: no filesystem of it is mounted that could be frozen: as with --consistency none, every block is \
                 right, or will be sent again",
                tracked.name
            ));
            Ok(Consistency::None)
        }
        wanted => Ok(wanted),
    }
}

fn cow_bytes(tracked: &Tracked) -> u64 {
    let cow = tracked.stack.and_then(|stack| stack.cow);
    cow.map_or(0, |(_, sectors)| sectors * crate::units::SECTOR_BYTES)
}

/// What is sent of a set of blocks.
fn sent_of<'a>(
    blocks: &'a BlockSet,
    tracked: &Tracked,
    unit_bytes: u64,
) -> impl Iterator<Item = Extent> + use<'a> {
    whole(extents(blocks, tracked.block_size, tracked.bytes), unit_bytes, tracked.bytes)
}

fn bytes_in(blocks: &BlockSet, tracked: &Tracked, unit_bytes: u64) -> u64 {
    sent_of(blocks, tracked, unit_bytes).map(|extent| extent.len).sum()
}

struct Sender<'a, W> {
    dm: &'a Dm,
    tracked: &'a Tracked,
    request: &'a Request,
    encoder: EncoderV2<W>,
    /// Everything before this era is in the stream.
    since: Era,
    passes: Vec<Pass>,
    held: Duration,
    /// Blocks that are in the stream, or have changed.
    sent: BlockSet,
}

impl<W: Output> Sender<'_, W> {
    /// Finds out what has changed, and sends nothing. Returns the era from which on changes are not known.
    fn look(&mut self) -> anyhow::Result<Era> {
        let (next, held) = barrier(self.dm, self.tracked, self.request.freeze_limit)?;
        self.held = self.held.max(held);
        let blocks = changed(self.dm, self.tracked, self.since)?.blocks;
        blocks.runs().for_each(|run| self.sent.insert(run));
        Ok(next)
    }

    fn bytes_in(&self, blocks: &BlockSet) -> u64 {
        bytes_in(blocks, self.tracked, self.request.whole)
    }

    /// Passes, then a cut, until one succeeds. Returns the next cursor's era.
    fn converge(&mut self, limit: Limit) -> anyhow::Result<Era> {
        loop {
            let to_send = self.bytes_in(&changed(self.dm, self.tracked, self.since)?.blocks);
            match plan::next(to_send, &self.passes, limit, self.request.max_passes) {
                Step::Pass => self.pass()?,
                Step::Cut => {
                    let done = match limit {
                        Limit::Space(_) => self.cut_snapshot()?,
                        Limit::Time(_) => self.cut_frozen()?,
                    };
                    if let Some(next) = done {
                        return Ok(next);
                    }
                }
                Step::GiveUp => {
                    return Err(anyhow!(NotConverging {
                        passes: self.request.max_passes,
                        left: to_send,
                        last: self.passes.last().map_or(0, |pass| pass.bytes),
                        limit,
                        cure: match limit {
                            Limit::Space(_) => "with more --max-passes, or with more snapshot space",
                            Limit::Time(_) => "with more --max-passes, or with a longer --freeze-timeout",
                        },
                    })
                    .context(self.tracked.name.clone()));
                }
            }
        }
    }

    /// Sends what changed while the device is in use.
    fn pass(&mut self) -> anyhow::Result<()> {
        let (next, held) = barrier(self.dm, self.tracked, self.request.freeze_limit)?;
        self.held = self.held.max(held);
        let blocks = changed(self.dm, self.tracked, self.since)?.blocks;
        let path = self.tracked.path()?;
        let source = Source::open(&path).with_context(|| path.display().to_string())?;
        self.copy(&source, &path, &blocks, || Ok(()))?;
        self.since = next;
        Ok(())
    }

    /// Reads everything while the device is in use, and sends what is different. Returns what identifies the list.
    fn compare(&mut self, mut list: HashListReader<impl Read>) -> anyhow::Result<[u8; 32]> {
        let (next, held) = barrier(self.dm, self.tracked, self.request.freeze_limit)?;
        self.held = self.held.max(held);
        let path = self.tracked.path()?;
        let source = Source::open(&path).with_context(|| path.display().to_string())?;
        let (bytes, block_size) = (self.tracked.bytes, self.tracked.block_size);
        let mut all = BlockSet::new(bytes.div_ceil(block_size.bytes()));
        all.insert(Run { begin: 0, end: bytes.div_ceil(block_size.bytes()) });
        let progress = Progress::new(self.request.progress, Some(bytes));
        let begin = Instant::now();
        let mut comparer = Comparer::new(&mut self.encoder, &mut list, bytes);
        let all = extents(&all, block_size, bytes);
        copy_pass(&source, &path, all, block_size, &mut comparer, &mut |len| {
            progress.advance(len);
            failpoint::reach("copying");
        })?;
        progress.finish();
        self.passes.push(Pass { bytes, duration: begin.elapsed(), failed_cut: false });
        self.since = next;
        list.finish()
    }

    /// Sends what changed from a snapshot; nothing is returned where that was lost.
    fn cut_snapshot(&mut self) -> anyhow::Result<Option<Era>> {
        let snapshot = Snapshot::take(self.dm, self.tracked, self.request.freeze_limit)?;
        self.held = self.held.max(snapshot.held);
        let blocks = changed(self.dm, self.tracked, self.since)?.blocks;
        let result = self.copy(&snapshot.source, &snapshot.path, &blocks, || {
            snapshot.look();
            Ok(())
        });
        let next = snapshot.next;
        let valid = snapshot.check()?;
        snapshot.finish()?;
        match (valid, result) {
            (Ok(()), result) => result.map(|()| Some(next)),
            // What was read from it until then is right; how far that was does not matter.
            (Err(lost), Err(e)) if e.chain().any(|cause| cause.is::<crate::blockio::ReadError>()) => {
                self.lost(lost, self.bytes_in(&blocks));
                Ok(None)
            }
            (Err(_), Err(e)) => Err(e),
            (Err(lost), Ok(())) => {
                if let Some(pass) = self.passes.pop() {
                    self.lost(lost, pass.bytes);
                }
                Ok(None)
            }
        }
    }

    fn lost(&mut self, lost: Lost, bytes: u64) {
        report::note(format_args!("{}: {lost}; another pass first", self.tracked.name));
        self.passes.push(Pass { bytes, duration: Duration::ZERO, failed_cut: true });
    }

    /// Sends what changed while the filesystem is frozen. Where that takes too long it was an ordinary pass.
    fn cut_frozen(&mut self) -> anyhow::Result<Option<Era>> {
        let Some(mut freeze) = Freeze::begin(self.dm, self.tracked, self.request.freeze_limit)? else {
            bail!("{}: was unmounted during the copy; try again", self.tracked.name);
        };
        let next = freeze.next;
        let blocks = changed(self.dm, self.tracked, self.since)?.blocks;
        let path = self.tracked.path()?;
        let source = Source::open(&path).with_context(|| path.display().to_string())?;
        self.copy(&source, &path, &blocks, || freeze.thaw_if_due())?;
        failpoint::reach("copied");
        let (held, ended) = freeze.finish()?;
        self.held = self.held.max(held);
        self.since = next;
        let reason = match ended {
            Ended::InTime => return Ok(Some(next)),
            Ended::LimitPassed => format!(
                "the copy took longer than the filesystem may be frozen; it was thawed after {:.1} s",
                held.as_secs_f32()
            ),
            Ended::ByOthers => {
                "another program thawed the filesystem during the copy, which is not of one moment; another pass".into()
            }
        };
        if let Some(pass) = self.passes.last_mut() {
            pass.failed_cut = true;
        }
        report::note(format_args!("{}: {reason}", self.tracked.name));
        Ok(None)
    }

    /// Copies blocks into the stream and counts that as a pass; `each` is called for every piece.
    fn copy(
        &mut self,
        source: &dyn ReadAt,
        path: &std::path::Path,
        blocks: &BlockSet,
        mut each: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let bytes = self.bytes_in(blocks);
        blocks.runs().for_each(|run| self.sent.insert(run));
        let progress = Progress::new(self.request.progress, Some(bytes));
        let begin = Instant::now();
        let all = sent_of(blocks, self.tracked, self.request.whole);
        let mut problem = Ok(());
        copy_pass(source, path, all, self.tracked.block_size, &mut self.encoder, &mut |len| {
            progress.advance(len);
            failpoint::reach("copying");
            if problem.is_ok() {
                problem = each();
            }
        })?;
        problem?;
        progress.finish();
        self.passes.push(Pass { bytes, duration: begin.elapsed(), failed_cut: false });
        Ok(())
    }

    fn finish(&mut self, next: Era) -> anyhow::Result<()> {
        let passes = u32::try_from(self.passes.len()).unwrap_or(u32::MAX);
        let held = u64::try_from(self.held.as_nanos()).unwrap_or(u64::MAX);
        self.encoder.conclude(next, passes, held);
        failpoint::reach("finishing");
        self.encoder.finish().context(WRITING)
    }
}
