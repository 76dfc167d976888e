// SPDX-License-Identifier: GPL-3.0-or-later
//! From a stream of a tracked device to a snapshot: all of it, or none.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use anyhow::{Context, anyhow, bail};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustic_core::repofile::{SnapshotFile, SnapshotId, SnapshotSummary, StringList};
use rustic_core::{BackupOptions, FileType, ParentOptions, SnapshotOptions, TreeId};
use uuid::Uuid;

use super::failure::{failure, is_not_in_index, masked, text};
use super::feed::Feed;
use super::gate::Gate;
use super::layout::{Layout, image_name, image_path};
use super::make::Made;
use super::mark::Mark;
use super::open::{Again, Opened, Snapshot, Writable, snapshots};
use super::parent::{self, Candidate, Reason, Wanted};
use super::presence::{self, Gone};
use super::source::Source;
use super::walk::{self, Unfit, Walked};
use super::witness::Witness;
use super::zeros::Zeros;
use crate::device::cursor::Cursor;
use crate::device::failpoint;
use crate::report;
use crate::stopping;
use crate::stream::{Header, Kind, Summary};

/// Entries that wait for the archive: as many segments are in memory there.
const ENTRIES_AHEAD: usize = 8;

/// A repository that takes snapshots of one device.
pub struct Target {
    name: String,
    gate: Arc<Gate>,
    witness: Arc<Witness>,
    made: Option<Made>,
    again: Again,
    /// Gone only where it could not be read again.
    repository: Option<Writable>,
    snapshots: Vec<Snapshot>,
}

/// What was added.
#[derive(Clone, Debug)]
pub struct Added {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Segments that the stream had.
    pub segments: u64,
    /// Segments of which rustic read the contents.
    pub opened: u64,
    /// Bytes of chunks that the repository did not have, before compression.
    pub added_bytes: u64,
    /// Bytes of trees that it did not have, before compression.
    pub added_tree_bytes: u64,
    /// Bytes that were uploaded.
    pub uploaded_bytes: u64,
}

/// The newest snapshot cannot be the parent, as something of it is not there any more; it was noticed before anything was added.
#[derive(Debug, thiserror::Error)]
#[error("{0}; a backup that reads everything puts it in order: era backup --full")]
pub struct ParentDamaged(String);

impl Target {
    /// Reads what is needed to add to a repository.
    pub fn new(opened: Opened) -> anyhow::Result<Self> {
        let Opened { name, repository, gate, witness, made, again } = opened;
        let read = || -> anyhow::Result<_> {
            let snapshots = snapshots(&repository, &witness)?;
            Ok((snapshots, again.index(repository, |repository| repository.to_indexed_ids())?))
        };
        let (snapshots, repository) = read().with_context(|| name.clone())?;
        Ok(Self { name, gate, witness, made, again, repository: Some(repository), snapshots })
    }

    /// How messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The snapshots of a device that a machine has made, oldest first.
    pub fn snapshots_of(&self, device: Uuid, host: &str) -> impl Iterator<Item = &Snapshot> {
        self.snapshots
            .iter()
            .filter(move |snapshot| snapshot.mark.device == device && snapshot.file.hostname == host)
    }

    /// The snapshot that an increment can begin from, and where.
    pub fn parent(&self, wanted: &Wanted) -> Result<(SnapshotId, Cursor), Reason> {
        let candidates: Vec<_> = self
            .snapshots
            .iter()
            .map(|snapshot| Candidate {
                id: snapshot.file.id,
                time: snapshot.file.time.timestamp(),
                host: snapshot.file.hostname.clone(),
                paths: snapshot.file.paths.iter().cloned().collect(),
                tree: snapshot.file.tree.to_hex().as_str().to_owned(),
                mark: snapshot.mark.clone(),
            })
            .collect();
        parent::choose(&candidates, wanted).map(|(candidate, cursor)| (candidate.id, cursor))
    }

    /// One more than the numbers that there are.
    fn next_number(&self, device: Uuid, host: &str) -> u64 {
        let numbers = self.snapshots_of(device, host).filter_map(|snapshot| snapshot.mark.number);
        // Where somebody has made the last one up, times decide.
        numbers.max().unwrap_or(0).saturating_add(1)
    }

    /// Adds the snapshot that a stream describes. `device` is the name that it gets; `pace` is told of the bytes that are taken, and may
    /// wait; `confirm` is asked, when all is uploaded, whether the stream is to be believed.
    pub fn add(
        &mut self,
        device: &str,
        input: impl Read + Send + 'static,
        pace: impl FnMut(u64) + Send + 'static,
        confirm: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Added> {
        let (mut feed, header) = Feed::start(input, Box::new(pace))?;
        let layout = Layout::new(header.device_bytes)?;
        let (parent, cursor) = self.parent_of(device, &header)?.unzip();
        self.gate.shut();
        let done = self.fill(device, &mut feed, &header, layout, parent);
        // The stream is at its end, or nobody reads it any more.
        let (mut file, total) = match done {
            Ok(done) => done,
            Err(e) => {
                drop(feed);
                return Err(self.cause(e));
            }
        };
        let summary = feed.summary()?.clone();
        self.check_order(&summary, cursor)?;
        confirm()?;
        failpoint::reach("restic-saving");
        let mark = Mark {
            number: Some(self.next_number(header.device, &file.hostname)),
            tree: Some(file.tree.to_hex().as_str().to_owned()),
            ..Mark::of_stream(&header, &summary, total.walked.bytes)?
        };
        self.save(&mut file, &mark, parent, &total)?;
        Ok(Added {
            segments: total.walked.segments,
            opened: total.opened,
            added_bytes: total.added_bytes,
            added_tree_bytes: total.added_tree_bytes,
            uploaded_bytes: self.gate.uploaded(),
            snapshot: Snapshot { file, mark },
        })
    }

    /// The parent that a stream can be put upon; none where it holds everything.
    fn parent_of(&self, device: &str, header: &Header) -> anyhow::Result<Option<(SnapshotId, Cursor)>> {
        match header.kind {
            Kind::Full => return Ok(None),
            Kind::Increment => {}
            other => bail!("a stream of kind {other:?} cannot be added to {}", self.name),
        }
        let path = image_path(device).to_string_lossy().into_owned();
        let wanted = Wanted {
            device: header.device,
            generation: header.generation,
            device_bytes: header.device_bytes,
            host: &host()?,
            path: &path,
        };
        let (id, cursor) = self
            .parent(&wanted)
            .map_err(|reason| anyhow!("{}: the stream has only what changed, and {reason}", self.name))?;
        if header.since > cursor.era {
            bail!(
                "{}: the stream has what changed since era {}, the newest snapshot that it could follow needs all since era {}",
                self.name,
                header.since,
                cursor.era
            );
        }
        Ok(Some((id, cursor)))
    }

    /// What is put upon a parent must not be older than that: blocks that changed after it would be those of the parent.
    fn check_order(&self, summary: &Summary, parent: Option<Cursor>) -> anyhow::Result<()> {
        let (_, trailer) = summary.frame.as_ref().context("the stream has no trailer")?;
        match parent {
            Some(cursor) if trailer.next < cursor.era => bail!(
                "{}: the stream is older than what the repository has: it ends with era {}, the newest snapshot of the device with era {}",
                self.name,
                trailer.next,
                cursor.era
            ),
            _ => Ok(()),
        }
    }

    /// Archives all passes.
    fn fill(
        &mut self,
        device: &str,
        feed: &mut Feed,
        header: &Header,
        layout: Layout,
        parent: Option<SnapshotId>,
    ) -> anyhow::Result<(SnapshotFile, Total)> {
        let mut total = Total::default();
        let mut zeros = self.zeros()?;
        let pass = PassOf { device, layout, time: header.time };
        let mut base = match parent {
            Some(id) => Some(self.base(id, device)?),
            None => self.base_of_zeros(&pass, &mut zeros)?,
        };
        let mut is_first = true;
        loop {
            let (file, walked) = self.pass(&pass, feed, base.as_ref(), zeros.as_mut())?;
            if std::mem::take(&mut is_first)
                && header.kind == Kind::Full
                && walked.segments < layout.segments()
            {
                bail!(
                    "{}: the stream says that it has everything, and has {} of {} segments",
                    self.name,
                    walked.segments,
                    layout.segments()
                );
            }
            total.add(walked, file.summary.as_ref());
            if !feed.another_pass() {
                return Ok((file, total));
            }
            self.reload()?;
            base = Some(self.base(file.id, device)?);
        }
    }

    /// What is known of trees of zeros.
    fn zeros(&self) -> anyhow::Result<Option<Zeros>> {
        let repository = self.repository()?;
        let Some(mut zeros) = Zeros::of(repository.config()) else { return Ok(None) };
        for level in 1..zeros.stored.len() {
            zeros.stored[level] = repository.get_tree(&zeros.tree(level)).is_ok();
        }
        Ok(Some(zeros))
    }

    /// A snapshot that is there, or was held back.
    fn base(&self, id: SnapshotId, device: &str) -> anyhow::Result<Base> {
        let unfit = |e| anyhow!(ParentDamaged(format!("{}: snapshot {id} cannot be read: {e:#}", self.name)));
        let read = || -> anyhow::Result<TreeId> {
            let file = self.repository()?.get_file::<SnapshotFile>(&id).map_err(failure)?;
            let root = self.repository()?.get_tree(&file.tree).map_err(failure)?;
            let name = image_name(device);
            let image = root.nodes.into_iter().find(|node| node.name == name && node.is_dir());
            image.and_then(|node| node.subtree).with_context(|| format!("has no folder {name}"))
        };
        Ok(Base { id: id.to_hex().as_str().to_owned(), image: read().map_err(unfit)? })
    }

    /// A device of zeros of the same size, as what a full stream is put upon. Where a chunker cuts zeros otherwise than foretold, there
    /// is none, and zeros are written as anything else is.
    fn base_of_zeros(&mut self, pass: &PassOf, zeros: &mut Option<Zeros>) -> anyhow::Result<Option<Base>> {
        let Some(mut foretold) = zeros.take() else { return Ok(None) };
        // A tree that is there may have lost what it names: what is written once more is looked up, and so put in order.
        foretold.stored.fill(false);
        let mut feed = Feed::of_zeros(0..pass.layout.segments());
        let (file, _) = self.pass(pass, &mut feed, None, Some(&mut foretold))?;
        let has_added = file.summary.as_ref().is_none_or(|summary| summary.data_added > 0);
        if has_added {
            self.reload()?;
        }
        let is_right =
            |now: &Zeros| (1..now.stored.len()).all(|level| now.stored[level] || !foretold.stored[level]);
        *zeros = self.zeros()?.filter(is_right);
        if zeros.is_some() { self.base(file.id, pass.device).map(Some) } else { Ok(None) }
    }

    /// One pass: what the archive of it is, held back.
    fn pass(
        &self,
        pass: &PassOf,
        feed: &mut Feed,
        base: Option<&Base>,
        zeros: Option<&mut Zeros>,
    ) -> anyhow::Result<(SnapshotFile, Walked)> {
        let (out, entries) = sync_channel(ENTRIES_AHEAD);
        let lost = Arc::new(AtomicBool::new(false));
        let repository = self.repository()?;
        let walk = walk::Pass {
            tree: &|id: &TreeId| {
                repository
                    .get_tree(id)
                    .map_err(|e| if is_not_in_index(&e) { anyhow!(Unfit(text(&e))) } else { failure(e) })
            },
            layout: pass.layout,
            device: pass.device,
            time: pass.time,
            zeros,
            check: &|| match self.gate.failure() {
                Some(text) => Err(anyhow!(text)),
                None => stopping::check(),
            },
            lost: lost.clone(),
            out,
        };
        let parents = match base {
            Some(base) => ParentOptions::default().parents(vec![base.id.clone()]),
            None => ParentOptions::default().force(true),
        };
        let options = BackupOptions::default().parent_opts(parents).no_scan(true);
        let before = base.map(|base| base.image);
        let file = new_snapshot(pass.time)?;
        let (walked, archived) = thread::scope(|scope| {
            let walker = scope.spawn(move || walk.run(feed, before));
            let source = Source::new(entries);
            let archived = repository.archive(&options, &source, file, &[image_path(pass.device)]);
            // A walker that still has something learns that nobody wants it.
            drop(source);
            (walker.join(), archived)
        });
        let walked = walked.map_err(|_| anyhow!("the thread that compares trees has panicked"))?;
        if lost.load(Ordering::SeqCst) {
            bail!(ParentDamaged(format!("{}: {}", self.name, Reason::Damaged)));
        }
        // Where both failed, the walker has only seen that nobody wanted more.
        let file = archived.map_err(failure).with_context(|| format!("{}: cannot write", self.name))?;
        let walked = walked.map_err(|e| match e.downcast_ref::<Unfit>() {
            Some(unfit) => anyhow!(ParentDamaged(format!("{}: {unfit}", self.name))),
            None => e,
        })?;
        let written = file.summary.as_ref().map_or(0, |summary| summary.total_files_processed);
        if written != walked.entries {
            bail!("{}: {} entries were given, {written} were written", self.name, walked.entries);
        }
        Ok((file, walked))
    }

    fn repository(&self) -> anyhow::Result<&Writable> {
        self.repository.as_ref().with_context(|| format!("{}: is not open any more", self.name))
    }

    /// What was written is known from now on.
    fn reload(&mut self) -> anyhow::Result<()> {
        let Some(repository) = self.repository.take() else { bail!("{}: is not open any more", self.name) };
        let fresh = self.again.index(repository.drop_index(), |repository| repository.to_indexed_ids());
        self.repository = Some(fresh.with_context(|| self.name.clone())?);
        Ok(())
    }

    /// Checks that what a snapshot needs is there, as far as anybody can have taken it away since this run began.
    fn check_presence(&mut self, tree: TreeId, parent: Option<SnapshotId>) -> anyhow::Result<()> {
        if !self.witness.has_lost(FileType::Index)? {
            return Ok(());
        }
        self.reload()?;
        let repository = self.repository()?;
        // A parent that has gone keeps nothing.
        let mut listed = repository.list::<SnapshotId>().map_err(failure)?;
        let before = match parent.filter(|parent| listed.any(|id| id == *parent)) {
            Some(parent) => Some(repository.get_file::<SnapshotFile>(&parent).map_err(failure)?.tree),
            None => None,
        };
        presence::check(repository, &self.witness, tree, before)
    }

    /// Writes the snapshot: from now on it is there.
    fn save(
        &mut self,
        file: &mut SnapshotFile,
        mark: &Mark,
        parent: Option<SnapshotId>,
        total: &Total,
    ) -> anyhow::Result<()> {
        file.parent = parent;
        file.parents = parent.into_iter().collect();
        let tags = mark.tags().iter().map(|tag| tag.parse::<StringList>()).collect::<Result<_, _>>();
        file.set_tags(tags.map_err(|e| anyhow!("{e}"))?);
        if let Some(summary) = &mut file.summary {
            summary.data_added = total.added_bytes + total.added_tree_bytes;
            summary.data_added_files = total.added_bytes;
            summary.data_added_trees = total.added_tree_bytes;
        }
        if let Some(made) = &self.made {
            made.check().with_context(|| self.name.clone())?;
        }
        self.check_presence(file.tree, parent).with_context(|| self.name.clone())?;
        self.gate.open();
        self.repository()?.save_snapshots(vec![file.clone()]).map_err(failure).with_context(|| {
            format!(
                "{}: cannot write the snapshot; where only the answer did not come, it is there all the same, see era points",
                self.name
            )
        })?;
        let id =
            self.gate.last_snapshot().with_context(|| format!("{}: no snapshot was written", self.name))?;
        file.id = id.into();
        failpoint::reach("restic-written");
        self.check_again(file, parent).with_context(|| self.name.clone())
    }

    /// Who prunes, and has listed the snapshots before there was this one, may take away now what it needs.
    fn check_again(&mut self, file: &SnapshotFile, parent: Option<SnapshotId>) -> anyhow::Result<()> {
        let Err(e) = self.check_presence(file.tree, parent) else { return Ok(()) };
        // Asked to end, one cannot look any more; the snapshot is whole as far as is known.
        if e.downcast_ref::<Gone>().is_none() {
            report::warn(format_args!(
                "{}: the snapshot was written; whether somebody has pruned meanwhile cannot be told: {e:#}",
                self.name
            ));
            return Ok(());
        }
        let removed = self.repository()?.delete_snapshots(&[file.id]).map_err(failure);
        removed.context("the snapshot, which lacks data, cannot be removed; do it with restic forget")?;
        Err(e)
    }

    /// What failed first is what matters.
    fn cause(&self, error: anyhow::Error) -> anyhow::Error {
        match self.gate.failure() {
            Some(text) => anyhow!("{}: {}", self.name, masked(&text)),
            None => error,
        }
    }
}

/// What a pass is put upon.
struct Base {
    /// The snapshot.
    id: String,
    /// The tree of the topmost folder of the image.
    image: TreeId,
}

/// What a pass is of.
struct PassOf<'a> {
    device: &'a str,
    layout: Layout,
    time: Timestamp,
}

/// Of all passes.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    walked: Walked,
    opened: u64,
    added_bytes: u64,
    added_tree_bytes: u64,
}

impl Total {
    fn add(&mut self, walked: Walked, summary: Option<&SnapshotSummary>) {
        self.walked.segments += walked.segments;
        self.walked.bytes += walked.bytes;
        self.walked.entries = walked.entries;
        if let Some(summary) = summary {
            self.opened += summary.files_new + summary.files_changed;
            self.added_bytes += summary.data_added_files;
            self.added_tree_bytes += summary.data_added_trees;
        }
    }
}

/// What this machine is called in snapshots.
pub fn host() -> anyhow::Result<String> {
    Ok(SnapshotOptions::default().to_snapshot().map_err(failure)?.hostname)
}

fn new_snapshot(time: Timestamp) -> anyhow::Result<SnapshotFile> {
    let mut options = SnapshotOptions::default();
    options.time = Some(time.to_zoned(TimeZone::system()));
    let mut file = options.to_snapshot().map_err(failure)?;
    file.program_version = format!("era {}", env!("CARGO_PKG_VERSION"));
    Ok(file)
}
