// SPDX-License-Identifier: GPL-3.0-or-later
//! One pass of a stream put over the tree of the snapshot before: the entries of the new tree, in their order.
//!
//! A folder is gone into only where something in it changed. All others are taken over. In a folder that is gone into, segments that did
//! not change are given with the time that they had, at which rustic takes over what they hold.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::SyncSender;

use anyhow::{anyhow, bail};
use jiff::{SignedDuration, Timestamp};
use rustic_core::repofile::{Node, Tree};
use rustic_core::{RusticResult, TreeId};
use thiserror::Error;

use super::assemble::Item;
use super::feed::Feed;
use super::layout::{ENTRIES, LEVELS, Layout, SEGMENT_BYTES, entry_name, image_path};
use super::source::{
    Contents, Entry, FIXED_TIME, folder, folder_node, image_node, segment, segment_node, taken,
};
use super::zeros::Zeros;

/// The tree of the snapshot before is not what it should be: it cannot be the parent of another.
#[derive(Debug, Error)]
#[error("the snapshot before is damaged: {0}")]
pub struct Unfit(pub String);

/// What was handed over in a pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walked {
    /// Entries that rustic counts as files: segments, and folders that were taken over.
    pub entries: u64,
    /// Segments that came from the stream.
    pub segments: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// What a pass needs.
pub struct Pass<'a> {
    /// Reads a tree.
    pub tree: &'a (dyn Fn(&TreeId) -> anyhow::Result<Tree> + Sync),
    /// How the device is divided.
    pub layout: Layout,
    /// Its name.
    pub device: &'a str,
    /// The time of what changed.
    pub time: Timestamp,
    /// Trees of zeros.
    pub zeros: Option<&'a mut Zeros>,
    /// Whether to go on.
    pub check: &'a (dyn Fn() -> anyhow::Result<()> + Sync),
    /// Set where rustic wants to read what has not changed.
    pub lost: Arc<AtomicBool>,
    /// Where entries go.
    pub out: SyncSender<RusticResult<Entry>>,
}

/// The entries of a folder of the snapshot before; none where there is no snapshot.
type Before = Option<Vec<Node>>;

impl Pass<'_> {
    /// Hands over all entries of the image. `before` is the tree of the topmost folder in the snapshot before.
    pub fn run(mut self, feed: &mut Feed, before: Option<TreeId>) -> anyhow::Result<Walked> {
        let mut walked = Walked::default();
        let path = image_path(self.device);
        self.send(folder(path.clone(), image_node(self.device)))?;
        let before = before.map(|tree| (self.tree)(&tree)).transpose()?.map(|tree| tree.nodes);
        self.folder(0, 0, &path, before, feed, &mut walked)?;
        if let Some(item) = feed.peek()? {
            bail!("the stream is not in order: {}", place(item));
        }
        Ok(walked)
    }

    fn folder(
        &mut self,
        level: usize,
        first: u64,
        path: &Path,
        before: Before,
        feed: &mut Feed,
        walked: &mut Walked,
    ) -> anyhow::Result<()> {
        for entry in 0..self.layout.entries(level, first) {
            let below = self.layout.below(level, first, entry);
            let old = before.as_ref().map(|nodes| old_node(nodes, level, entry, path)).transpose()?;
            (self.check)()?;
            let is_changed = feed.peek()?.is_some_and(|item| begin(item) < below.end);
            match (is_changed, level + 1 == LEVELS) {
                (false, _) => {
                    let Some(old) = old else {
                        bail!(
                            "the stream leaves out segment {}, and there is no snapshot before",
                            below.start
                        );
                    };
                    self.take_over(level, &below, path, old)?;
                    walked.entries += 1;
                }
                (true, true) => {
                    self.segment(level, entry, below.start, path, old, feed, walked)?;
                }
                (true, false) => self.changed_folder(level, entry, &below, path, old, feed, walked)?,
            }
        }
        Ok(())
    }

    /// What has not changed.
    fn take_over(&mut self, level: usize, below: &Range<u64>, path: &Path, old: &Node) -> anyhow::Result<()> {
        let name = path.join(old.name());
        if level + 1 < LEVELS {
            if !old.is_dir() || old.subtree.is_none() {
                bail!(Unfit(format!("{} is no folder", name.display())));
            }
            return self.send(taken(path, old.clone()));
        }
        if !old.is_file() || old.meta.size != self.layout.extent(below.start).len {
            bail!(Unfit(format!("{} is no segment of its size", name.display())));
        }
        self.send(segment(path, old.clone(), Contents::Unchanged(self.lost.clone())))
    }

    #[allow(clippy::too_many_arguments)] // One folder: which, where, what was there, and what comes.
    fn changed_folder(
        &mut self,
        level: usize,
        entry: u64,
        below: &Range<u64>,
        path: &Path,
        old: Option<&Node>,
        feed: &mut Feed,
        walked: &mut Walked,
    ) -> anyhow::Result<()> {
        let node = folder_node(level, entry);
        let is_zero = matches!(feed.peek()?, Some(Item::Zeros(zeros)) if zeros.start <= below.start && zeros.end >= below.end);
        let is_whole = is_zero && self.layout.is_whole(level, below);
        let stored = self.zeros.as_ref().filter(|_| is_whole).and_then(|zeros| zeros.stored_tree(level + 1));
        if let Some(tree) = stored {
            feed.take_zeros(below.end);
            walked.entries += 1;
            walked.segments += below.end - below.start;
            walked.bytes += (below.end - below.start) * SEGMENT_BYTES;
            return self.send(taken(path, Node { subtree: Some(tree), ..node }));
        }
        let below_path = path.join(node.name());
        let before = match old.map(|old| old.subtree) {
            None => None,
            Some(Some(tree)) => Some((self.tree)(&tree)?.nodes),
            Some(None) => bail!(Unfit(format!("{} is no folder", below_path.display()))),
        };
        self.send(folder(below_path.clone(), node))?;
        self.folder(level + 1, below.start, &below_path, before, feed, walked)?;
        if let Some(zeros) = self.zeros.as_deref_mut().filter(|_| is_whole && old.is_none()) {
            // What was written just now has this tree, as far as can be foretold: whoever begins with nothing looks. Where there was
            // something before, its segments of zeros may have been cut otherwise.
            zeros.stored[level + 1] = true;
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)] // As above.
    fn segment(
        &mut self,
        level: usize,
        entry: u64,
        number: u64,
        path: &Path,
        old: Option<&Node>,
        feed: &mut Feed,
        walked: &mut Walked,
    ) -> anyhow::Result<()> {
        let size = self.layout.extent(number).len;
        let (node, contents) = match feed.peek()? {
            Some(Item::Zeros(zeros)) if zeros.contains(&number) => {
                feed.take_zeros(number + 1);
                (segment_node(level, entry, FIXED_TIME, size), Contents::Zeros(size))
            }
            Some(Item::Data { segment, bytes }) if *segment == number && bytes.len() as u64 == size => {
                let Some(Item::Data { bytes, .. }) = feed.take() else { bail!("the stream is gone") };
                (segment_node(level, entry, self.changed_time(old), size), Contents::Bytes(bytes))
            }
            Some(item) => bail!("the stream is not in order: {} where segment {number} is due", place(item)),
            None => bail!("the stream has ended"),
        };
        walked.entries += 1;
        walked.segments += 1;
        walked.bytes += size;
        self.send(segment(path, node, contents))
    }

    /// Never the time that it had, at which rustic would take it for unchanged, whatever clocks do.
    fn changed_time(&self, old: Option<&Node>) -> Timestamp {
        let had = old.and_then(|old| old.meta.mtime);
        let tick = SignedDuration::from_nanos(1);
        if had == Some(self.time) { self.time.checked_add(tick).unwrap_or(self.time) } else { self.time }
    }

    fn send(&self, entry: Entry) -> anyhow::Result<()> {
        self.out.send(Ok(entry)).map_err(|_| anyhow!("the archive has ended"))
    }
}

fn old_node<'a>(nodes: &'a [Node], level: usize, entry: u64, path: &Path) -> anyhow::Result<&'a Node> {
    let name = entry_name(level, entry);
    let at = usize::try_from(entry).unwrap_or(usize::MAX);
    match nodes.get(at) {
        Some(node) if node.name == name && (level == 0 || nodes.len() as u64 <= ENTRIES) => Ok(node),
        _ => Err(anyhow!(Unfit(format!("{} is missing", PathBuf::from(path).join(name).display())))),
    }
}

fn begin(item: &Item) -> u64 {
    match item {
        Item::Data { segment, .. } => *segment,
        Item::Zeros(zeros) => zeros.start,
        Item::Pass => u64::MAX,
    }
}

fn place(item: &Item) -> String {
    match item {
        Item::Data { segment, .. } => format!("segment {segment} comes"),
        Item::Zeros(zeros) => format!("zeros of segments {}..{} come", zeros.start, zeros.end),
        Item::Pass => "a pass begins".into(),
    }
}
