// SPDX-License-Identifier: GPL-3.0-or-later
//! Points are taken away.
//!
//! The oldest goes with its undo stream. One in the middle goes by merging: the stream that leads to the point before
//! it then leads there from the point after it. A merged stream is whole and durable before the manifest names it, and what
//! it replaces is removed after that; so a crash leaves files that nobody names, which the next command removes.

use anyhow::Context;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::file;
use super::geometry::Geometry;
use super::layout;
use super::manifest::{Manifest, Point};
use super::open::{Access, Repository};
use super::receiver::undo_header;
use super::reserve;
use super::retention::{Keep, kept};
use super::undo::{BATCH_BYTES, Undo, UndoWriter, index_of};
use super::verify::is_unreadable;
use crate::blockio::ReadError;
use crate::report;
use crate::stream::StreamError;

/// Takes away what a rule does not keep; `each` is told of every point before it goes, and says whether to go on. Of a
/// repository that is open to be read nothing is taken away. Returns what is left, or would be.
pub fn prune(
    repository: &Repository,
    keep: &Keep,
    zone: &TimeZone,
    mut each: impl FnMut(&Point) -> bool,
) -> anyhow::Result<Manifest> {
    let name = || repository.path.display().to_string();
    let mut manifest = repository.known()?;
    let times: Vec<_> = manifest.points.iter().map(|point| point.time).collect();
    let mut kept = kept(&times, keep, zone, Timestamp::now());
    // From the oldest on: what leads back to those is not merged first.
    while let Some(at) = kept.iter().position(|kept| !kept) {
        if !each(&manifest.points[at]) {
            break;
        }
        if repository.access != Access::Prune {
            manifest.points.remove(at);
        } else if let Err(e) = remove_point(repository, &mut manifest, at) {
            // What leads back through a damaged stream cannot be made anew. It goes when all points before it have gone.
            if at == 0 || reserve::is_full(&e) || is_unreadable(&e) {
                return Err(e.context(name()));
            }
            report::warn(format_args!("{}: point {} stays: {e:#}", name(), manifest.points[at].id));
            kept[at] = true;
            continue;
        }
        kept.remove(at);
    }
    Ok(manifest)
}

/// Takes a point away, which is not the newest.
fn remove_point(repository: &Repository, manifest: &mut Manifest, at: usize) -> anyhow::Result<()> {
    let path = &repository.path;
    let (id, next) = (manifest.points[at].id, manifest.points[at + 1].id);
    let mut gone = vec![layout::undo(path, id, next)];
    if let Some(before) = at.checked_sub(1) {
        let older = manifest.points[before].id;
        gone.push(layout::undo(path, older, id));
        match merge(repository, manifest, before) {
            Ok(held_bytes) => manifest.points[before].held_bytes = held_bytes,
            Err(e) => {
                let merged = layout::undo(path, older, next);
                file::remove(&index_of(&merged))?;
                file::remove(&merged)?;
                return Err(e);
            }
        }
    }
    manifest.points.remove(at);
    manifest.write(path)?;
    for stream in gone {
        // The index can do without the stream no more than the other way round; either is removed by who comes next.
        file::remove(&index_of(&stream))?;
        file::remove(&stream)?;
    }
    file::sync_dir(&layout::undo_directory(path))
}

/// Whether a file ends before what should be in it.
fn is_cut(e: &anyhow::Error) -> bool {
    matches!(ReadError::of(e), Some(ReadError::Ended { .. }))
}

/// Makes one stream of the two that lead back to a point through the one after it. Returns the bytes that it takes.
fn merge(repository: &Repository, manifest: &Manifest, at: usize) -> anyhow::Result<u64> {
    let points = &manifest.points;
    let [to, through, from] = [&points[at], &points[at + 1], &points[at + 2]];
    let open = |to: &super::manifest::Point, from: u64| -> anyhow::Result<(Undo, Undo)> {
        let geometry = Geometry::new(to.device_bytes, manifest.unit_bytes)?;
        let path = layout::undo(&repository.path, to.id, from);
        // One for the order of units, one for what they hold.
        Ok((Undo::open(&path, geometry)?, Undo::open(&path, geometry)?))
    };
    let (older, mut older_units) = open(to, through.id)?;
    let (newer, mut newer_units) = open(through, from.id)?;
    let geometry = Geometry::new(to.device_bytes, manifest.unit_bytes)?;
    let path = layout::undo(&repository.path, to.id, from.id);
    let mut writer = UndoWriter::create(&path, &undo_header(manifest, to, geometry))?;
    let (mut first, mut second) = (older.entries()?.peekable(), newer.entries()?.peekable());
    let unit = |entry: Option<&anyhow::Result<_>>| match entry {
        Some(Ok(super::undo::index::Entry { unit, .. })) => Some(*unit),
        _ => None,
    };
    let mut batch = 0;
    let mut buf = vec![0; usize::try_from(geometry.unit_bytes)?];
    while first.peek().is_some() || second.peek().is_some() {
        let is_older = match (unit(first.peek()), unit(second.peek())) {
            (Some(a), Some(b)) => {
                if a == b {
                    second.next();
                }
                a <= b
            }
            // An error, or the end.
            (None, _) => first.peek().is_some(),
            (Some(_), None) => second.peek().is_none(),
        };
        let entry = if is_older { first.next() } else { second.next() };
        let entry = entry.context("the index ends early")??;
        let extent = geometry.extent(entry.unit);
        // What the device had no room for then.
        if extent.len == 0 {
            continue;
        }
        let buf = &mut buf[..usize::try_from(extent.len)?];
        let from = if is_older { &mut older_units } else { &mut newer_units };
        match from.read(&entry, buf) {
            // Not what a disk has that fails to read: that may be well another time.
            Err(e) if e.downcast_ref::<StreamError>().is_some_and(StreamError::is_damage) || is_cut(&e) => {
                report::warn(format_args!(
                    "{e:#}; bytes {} to {} of the device at point {} stay damaged",
                    extent.offset,
                    extent.end(),
                    to.id
                ));
                buf.fill(0);
            }
            result => result?,
        }
        // With the hash that it must have: what is damaged stays known as that.
        writer.save(entry.unit, entry.hash, extent, buf)?;
        batch += extent.len;
        if batch >= BATCH_BYTES {
            writer.barrier()?;
            batch = 0;
        }
    }
    writer.finish()
}
