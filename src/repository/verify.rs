// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether a repository holds what it was given: everything is read and hashed.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;

use super::bulk::{Unit, Zeros};
use super::geometry::Geometry;
use super::hashes::{Missing, hash};
use super::layout;
use super::manifest::Manifest;
use super::points::Selector;
use super::undo::Undo;
use super::view::View;
use crate::blockio::ReadError;
use crate::report::Progress;
use crate::stream::{self, Header, Kind, Visitor};
use crate::units::Extent;

/// Something that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The point that has it.
    pub point: u64,
    /// Where on the device, in bytes.
    pub offset: Option<u64>,
    /// How many bytes.
    pub length_bytes: Option<u64>,
    /// What is wrong.
    pub problem: String,
}

/// What is wrong where nothing fails.
const DIFFERENT: &str = "the bytes, or their hash, are not what they were";

/// Reads everything. Each damage is told as it is found; returns how many there are.
pub fn verify(
    repository: &Path,
    manifest: &Manifest,
    progress: &Progress,
    mut tell: impl FnMut(Damage) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let mut found = 0;
    let mut tell = |damage| {
        found += 1;
        tell(damage)
    };
    verify_image(repository, progress, &mut tell)?;
    for pair in manifest.points.windows(2) {
        let path = layout::undo(repository, pair[0].id, pair[1].id);
        let geometry = Geometry::new(pair[0].device_bytes, manifest.unit_bytes)?;
        if let Err(e) = verify_undo(&path, pair[0].id, geometry, progress, &mut tell) {
            // What stops the look at one file does not stop that at the others.
            let problem = format!("{e:#}");
            tell(Damage { file: path, point: pair[0].id, offset: None, length_bytes: None, problem })?;
        }
    }
    Ok(found)
}

/// Whether it was the disk that failed, or a file ends too early.
pub(super) fn is_unreadable(e: &anyhow::Error) -> bool {
    ReadError::of(e).is_some()
}

fn verify_image(
    repository: &Path,
    progress: &Progress,
    tell: &mut impl FnMut(Damage) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut view = View::open(repository, Selector::FromLast(0))?;
    let geometry = view.geometry();
    let point = view.point.id;
    // Neighbours with the same problem are one damage.
    let mut damaged: Option<(Extent, String)> = None;
    let mut report = |damaged: Option<(Extent, String)>| match damaged {
        None => Ok(()),
        Some((extent, problem)) => tell(Damage {
            file: layout::image(repository),
            point,
            offset: Some(extent.offset),
            length_bytes: Some(extent.len),
            problem,
        }),
    };
    view.read_units(0..geometry.units(), Zeros::Read, &mut |unit, found| {
        let extent = geometry.extent(unit);
        match (&mut damaged, problem_of(found)?) {
            (_, None) => {}
            (Some((run, same)), Some(problem)) if run.end() == extent.offset && *same == problem => {
                run.len += extent.len;
            }
            (_, Some(problem)) => report(damaged.replace((extent, problem)))?,
        }
        progress.advance(extent.len);
        Ok(())
    })?;
    report(damaged)
}

/// What is wrong with a unit that was read: nothing, or this.
pub(super) fn problem_of(found: anyhow::Result<Unit>) -> anyhow::Result<Option<String>> {
    match found {
        Ok(unit) => Ok((unit.hash != unit.expected).then(|| DIFFERENT.to_owned())),
        // A block that cannot be read is damage, too; what else is wrong is told by the others.
        Err(e) if is_unreadable(&e) || e.is::<Missing>() => Ok(Some(format!("{e:#}"))),
        Err(e) => Err(e),
    }
}

/// The stream as a whole, then unit by unit.
fn verify_undo(
    path: &Path,
    point: u64,
    geometry: Geometry,
    progress: &Progress,
    tell: &mut impl FnMut(Damage) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut counter = Counter::default();
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let whole = stream::read(BufReader::with_capacity(1 << 20, file), &mut counter);
    let undo = Undo::open(path, geometry)?;
    let mut bytes = 0;
    let mut damaged = 0;
    // Entries are read in pieces beside the stream itself.
    let mut reader = Undo::open(path, geometry)?;
    let mut buf = vec![0; usize::try_from(geometry.unit_bytes)?];
    for entry in undo.entries()? {
        let entry = entry?;
        let extent = geometry.extent(entry.unit);
        let buf = &mut buf[..usize::try_from(extent.len)?];
        let problem = match reader.read(&entry, buf) {
            Ok(()) if hash(buf) == entry.hash => None,
            Ok(()) => Some(DIFFERENT.to_owned()),
            Err(e) => Some(format!("{e:#}")),
        };
        if let Some(problem) = problem {
            damaged += 1;
            let (offset, length_bytes) = (Some(extent.offset), Some(extent.len));
            tell(Damage { file: path.to_owned(), point, offset, length_bytes, problem })?;
        }
        bytes += extent.len;
        progress.advance(extent.len);
    }
    match whole {
        // Each unit is right; what is damaged is something between them.
        Err(e) if damaged == 0 => Err(e),
        Err(_) => Ok(()),
        Ok(_) if counter.bytes != bytes => bail!(
            "the stream has {} bytes of the device, its index {bytes}, in {} units",
            counter.bytes,
            undo.units()
        ),
        Ok(_) => Ok(()),
    }
}

/// Counts what a stream has.
#[derive(Default)]
struct Counter {
    bytes: u64,
}

impl Visitor for Counter {
    fn begin(&mut self, header: Option<&Header>) -> anyhow::Result<()> {
        match header {
            Some(header) if header.kind == Kind::Undo => Ok(()),
            _ => bail!("is no undo stream"),
        }
    }

    fn data(&mut self, _offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn zeros(&mut self, extent: Extent) -> anyhow::Result<()> {
        self.bytes += extent.len;
        Ok(())
    }
}
