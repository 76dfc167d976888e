// SPDX-License-Identifier: GPL-3.0-or-later
//! A point, to be read: which blobs hold which bytes of the device.
//!
//! The folders of a snapshot are read as they are needed, and some are kept. They were written by a program of this kind, or by
//! anybody who has the repository's password: each must have the entries that the size of the device asks for, by the names and
//! sizes that they must have, else the point is not complete and reading it is an error.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, bail};
use lru::LruCache;
use rustic_core::repofile::{Node, Tree};
use rustic_core::{DataId, TreeId};

use super::archive::Archive;
use super::layout::{LEVELS, Layout, SEGMENT_BYTES, entries_to, entry_name, image_name, span};
use super::points::Point;
use super::zeros::Zeros;
use crate::units::Extent;

/// Folders that are kept; the largest have 64 Ki entries, most 64.
const FOLDERS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// A folder: what there is below its entries.
#[derive(Debug)]
enum Folder {
    Folders(Vec<TreeId>),
    Segments(Vec<Arc<[DataId]>>),
}

/// What a piece of the device holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Nothing but zeros; nothing needs to be read.
    Zeros,
    /// What this blob holds.
    Blob(DataId),
}

/// A piece of the device: a blob, or zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it is.
    pub extent: Extent,
    /// What it holds.
    pub contents: Contents,
}

/// Takes pieces, in the order of the device.
pub type Each<'a> = &'a mut dyn FnMut(Piece) -> anyhow::Result<()>;

/// Says whether anything in a range of bytes is wanted.
pub type Wanted<'a> = &'a dyn Fn(Extent) -> bool;

/// A point.
#[derive(Debug)]
pub struct Image {
    archive: Archive,
    layout: Layout,
    root: TreeId,
    /// The trees of folders of zeros.
    zeros: Option<Zeros>,
    folders: LruCache<TreeId, Arc<Folder>>,
    /// How messages call it.
    what: String,
}

impl Image {
    /// Opens a point of a repository that is called so.
    pub fn open(archive: &Archive, repository: &str, point: &Point) -> anyhow::Result<Self> {
        let what = format!("{repository}: point {}", point.id());
        let layout = Layout::new(point.mark.device_bytes).with_context(|| what.clone())?;
        if point.mark.segment_bytes != SEGMENT_BYTES {
            bail!(
                "{what}: has segments of {} bytes, which this version of the program does not know; restic dump gives it back",
                point.mark.segment_bytes
            );
        }
        let name = image_name(&point.name);
        let top = archive.tree(&point.tree).with_context(|| what.clone())?;
        let root = top.nodes.iter().find(|node| node.name().to_str() == Some(&name));
        let root = root
            .and_then(|node| node.subtree)
            .with_context(|| format!("{what}: there is no folder {name} in the snapshot"))?;
        let (zeros, folders) = (Zeros::of(archive.config()), LruCache::new(FOLDERS));
        Ok(Self { archive: archive.clone(), layout, root, zeros, folders, what })
    }

    /// How the device is divided.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The repository that it is in.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// How messages call it.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// How messages call a part of it.
    pub fn place(&self, extent: Extent) -> String {
        format!("{}: bytes {} to {}", self.what, extent.offset, extent.end())
    }

    /// Hands on all pieces that are wanted.
    pub fn pieces(&mut self, wanted: Wanted, each: Each) -> anyhow::Result<()> {
        self.walk(0, self.root, 0, wanted, each)
    }

    /// The pieces of a segment.
    pub fn segment(&mut self, segment: u64) -> anyhow::Result<Vec<Piece>> {
        let entries = entries_to(segment);
        let (mut tree, mut first) = (self.root, 0);
        for (level, entry) in entries.iter().enumerate() {
            let folder = self.folder(level, tree, first)?;
            let at = usize::try_from(*entry)?;
            match &*folder {
                Folder::Folders(below) => {
                    tree = *below.get(at).context("the segment is not on the device")?;
                    if self.is_zeros(level + 1, tree) {
                        let extent = self.layout.extent(segment);
                        return Ok(vec![Piece { extent, contents: Contents::Zeros }]);
                    }
                    first += entry * span(level);
                }
                Folder::Segments(segments) => {
                    let content = segments.get(at).context("the segment is not on the device")?;
                    return self.blobs(segment, content);
                }
            }
        }
        bail!("{}: has no segments", self.what)
    }

    /// Where this point is not as another one of the same device is: whole blobs, in the order of the device. What only the other
    /// one has is not told.
    pub fn differences(
        &mut self,
        other: &mut Self,
        each: &mut dyn FnMut(Extent) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (a, b) = (self.root, other.root);
        self.compare(other, 0, (a, b), 0, each)
    }

    fn compare(
        &mut self,
        other: &mut Self,
        level: usize,
        (a, b): (TreeId, TreeId),
        first: u64,
        each: &mut dyn FnMut(Extent) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        // The same tree has the same entries: where one device ends in it, both do.
        if a == b && (level > 0 || self.layout == other.layout) {
            return Ok(());
        }
        let folder = self.folder(level, a, first)?;
        let theirs =
            if first < other.layout.segments() { Some(other.folder(level, b, first)?) } else { None };
        for (entry, at) in (0..self.layout.entries(level, first)).zip(0..) {
            let below = self.layout.below(level, first, entry);
            match (&*folder, theirs.as_deref()) {
                (Folder::Folders(ours), Some(Folder::Folders(theirs))) if at < theirs.len() => {
                    self.compare(other, level + 1, (ours[at], theirs[at]), below.start, each)?;
                }
                (Folder::Segments(ours), Some(Folder::Segments(theirs))) if at < theirs.len() => {
                    if ours[at] == theirs[at] {
                        continue;
                    }
                    let theirs = other.blobs(below.start, &theirs[at])?;
                    for piece in self.blobs(below.start, &ours[at])? {
                        if !theirs.contains(&piece) {
                            each(piece.extent)?;
                        }
                    }
                }
                _ => each(self.bytes_of(&below))?,
            }
        }
        Ok(())
    }

    fn walk(
        &mut self,
        level: usize,
        tree: TreeId,
        first: u64,
        wanted: Wanted,
        each: Each,
    ) -> anyhow::Result<()> {
        let folder = self.folder(level, tree, first)?;
        for (entry, at) in (0..self.layout.entries(level, first)).zip(0..) {
            let below = self.layout.below(level, first, entry);
            let extent = self.bytes_of(&below);
            if !wanted(extent) {
                continue;
            }
            match &*folder {
                Folder::Folders(folders) if self.is_zeros(level + 1, folders[at]) => {
                    each(Piece { extent, contents: Contents::Zeros })?;
                }
                Folder::Folders(folders) => self.walk(level + 1, folders[at], below.start, wanted, each)?,
                Folder::Segments(segments) => {
                    let pieces = self.blobs(below.start, &segments[at])?;
                    pieces.into_iter().filter(|piece| wanted(piece.extent)).try_for_each(&mut *each)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a folder of a level is known to hold nothing but zeros. One in which the device ends is none of those.
    fn is_zeros(&self, level: usize, tree: TreeId) -> bool {
        self.zeros.as_ref().is_some_and(|zeros| zeros.tree(level) == tree)
    }

    fn bytes_of(&self, segments: &Range<u64>) -> Extent {
        let offset = segments.start * SEGMENT_BYTES;
        let end = (segments.end * SEGMENT_BYTES).min(self.layout.device_bytes());
        Extent { offset, len: end.saturating_sub(offset) }
    }

    /// The blobs of a segment, each with its place.
    fn blobs(&self, segment: u64, content: &[DataId]) -> anyhow::Result<Vec<Piece>> {
        let extent = self.layout.extent(segment);
        let mut offset = extent.offset;
        let mut pieces = Vec::with_capacity(content.len());
        for id in content {
            let len = self.archive.len_of(id).with_context(|| self.place(extent))?;
            let is_zeros = self.archive.is_zeros(id, len);
            let contents = if is_zeros { Contents::Zeros } else { Contents::Blob(*id) };
            pieces.push(Piece { extent: Extent { offset, len: len.into() }, contents });
            offset += u64::from(len);
        }
        if offset != extent.end() {
            bail!("{}: the segment has {} bytes", self.place(extent), offset - extent.offset);
        }
        Ok(pieces)
    }

    fn folder(&mut self, level: usize, tree: TreeId, first: u64) -> anyhow::Result<Arc<Folder>> {
        let folder = match self.folders.get(&tree) {
            Some(folder) => folder.clone(),
            None => {
                let read = self.archive.tree(&tree).and_then(|tree| Folder::of(level, tree));
                let folder = Arc::new(read.with_context(|| self.place_of(level, first))?);
                self.folders.put(tree, folder.clone());
                folder
            }
        };
        let (has, needs) = (folder.len(), self.layout.entries(level, first));
        if has as u64 != needs || folder.has_segments() != (level + 1 == LEVELS) {
            bail!(
                "{}: the snapshot is not complete: a folder has {has} entries, must have {needs}",
                self.place_of(level, first)
            );
        }
        Ok(folder)
    }

    fn place_of(&self, level: usize, first: u64) -> String {
        let end = level.checked_sub(1).map_or(self.layout.segments(), |above| first + span(above));
        self.place(self.bytes_of(&(first..end.min(self.layout.segments()))))
    }
}

impl Folder {
    fn of(level: usize, tree: Tree) -> anyhow::Result<Self> {
        let is_lowest = level + 1 == LEVELS;
        for (entry, node) in (0..).zip(&tree.nodes) {
            let name = entry_name(level, entry);
            if node.name().to_str() != Some(&name) || node.is_dir() == is_lowest {
                bail!(
                    "the snapshot is not complete, or something else: there is no {name} in a folder of it"
                );
            }
        }
        let below = |node: Node| node.subtree.context("a folder has no tree");
        let content = |node: Node| node.content.map(Arc::from).context("a segment has no contents");
        Ok(if is_lowest {
            Folder::Segments(tree.nodes.into_iter().map(content).collect::<Result<_, _>>()?)
        } else {
            Folder::Folders(tree.nodes.into_iter().map(below).collect::<Result<_, _>>()?)
        })
    }

    fn len(&self) -> usize {
        match self {
            Folder::Folders(folders) => folders.len(),
            Folder::Segments(segments) => segments.len(),
        }
    }

    fn has_segments(&self) -> bool {
        matches!(self, Folder::Segments(_))
    }
}
