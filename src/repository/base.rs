// SPDX-License-Identifier: GPL-3.0-or-later
//! What a repository has, as a list of hashes: the base of a stream that holds only what is different.
//!
//! While the first copy is not whole, nothing says how much of it arrived: then the image is read and hashed. The manifest
//! notes which list was given away last, until something is added: a stream of differences to another list is refused.

use std::io::{self, Write};

use anyhow::Context;

use super::bulk::Zeros;
use super::file::RepoFile;
use super::hashes::{Hashes, UnitHash, ZeroHash, hash};
use super::layout;
use super::manifest::Manifest;
use super::open::{Access, Repository};
use super::overwrite::check_whole;
use super::points::Selector;
use super::verify::problem_of;
use super::view::View;
use crate::report::Progress;
use crate::stream::{HashListHeader, HashListWriter};

/// Where the hashes of a list come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// From the file of hashes.
    Recorded,
    /// From there as well, but the image is read, and for a unit that it does not hold there is [`UNKNOWN`].
    Reread,
}

/// Stands in a list for a unit that the repository does not have any more. No unit has this hash.
pub const UNKNOWN: UnitHash = [0; 32];

/// Writes the list of everything, for a stream of the differences to it, and notes in the manifest which list that is. Of an
/// unfinished first copy, it is found out what there is.
pub fn give(
    repository: &Repository,
    manifest: &mut Manifest,
    trust: Trust,
    progress: &Progress,
    output: impl Write,
) -> anyhow::Result<Written> {
    let list = Sample { first: 0, stride: 1, trust };
    let written = if manifest.points.is_empty() {
        hash_image(repository, manifest, progress)?;
        // Now it is known to hold what the hashes say.
        write_list(repository, manifest, Sample { trust: Trust::Recorded, ..list }, output)?
    } else {
        if trust == Trust::Recorded {
            check_whole(&RepoFile::open_to_read(&layout::image(&repository.path))?, manifest.device_bytes)?;
        }
        write_list(repository, manifest, list, output)?
    };
    manifest.base = Some(written.id);
    manifest.write(&repository.path)?;
    Ok(written)
}

/// Units of a sample, at least.
const LEAST_SAMPLE: u64 = 64;

/// From one unit of a sample to the next, where it is to be one in so many.
pub fn stride(units: u64, one_in: u64) -> u64 {
    one_in.min(units / LEAST_SAMPLE).max(1)
}

/// Which units a list is of, and what it says of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The first of them.
    pub first: u64,
    /// From one to the next.
    pub stride: u64,
    /// Where their hashes come from.
    pub trust: Trust,
}

/// A list that was written.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// What identifies it.
    pub id: UnitHash,
    /// How many units in it are [`UNKNOWN`].
    pub unknown: u64,
}

/// Writes a list.
pub fn write_list(
    repository: &Repository,
    manifest: &Manifest,
    sample: Sample,
    output: impl Write,
) -> anyhow::Result<Written> {
    let Sample { first, stride, trust } = sample;
    let header = HashListHeader {
        device: manifest.device,
        device_bytes: manifest.device_bytes,
        unit_bytes: manifest.unit_bytes,
        first,
        stride,
    };
    let sending = "cannot send the list of hashes";
    let mut writer =
        HashListWriter::new(io::BufWriter::with_capacity(1 << 16, output), &header).context(sending)?;
    let units = (0..header.count()).map(|at| first + at * stride);
    let mut unknown = 0;
    match trust {
        // A run may be under way, or may have broken off: then some hashes are not those of the last point.
        Trust::Recorded if repository.access == Access::Read => {
            let mut view = View::open(&repository.path, Selector::FromLast(0))?;
            for unit in units {
                writer.push(&view.hash(unit)?).context(sending)?;
            }
        }
        Trust::Recorded => {
            let hashes = Hashes::open_to_read(&layout::hashes(&repository.path))?;
            for unit in units {
                let hash = hashes
                    .get(unit)?
                    .context("the file of hashes is too short; era verify says what is damaged")?;
                writer.push(&hash).context(sending)?;
            }
        }
        Trust::Reread => {
            // Of the last point, as a run that adds another may be under way.
            let mut view = View::open(&repository.path, Selector::FromLast(0))?;
            view.read_units(units, Zeros::Read, &mut |_, found| {
                let recorded = found.as_ref().map_or(UNKNOWN, |unit| unit.expected);
                let problem = problem_of(found)?;
                unknown += u64::from(problem.is_some());
                writer.push(if problem.is_none() { &recorded } else { &UNKNOWN }).context(sending)
            })?;
        }
    }
    Ok(Written { id: writer.finish().context(sending)?, unknown })
}

fn hash_image(repository: &Repository, manifest: &Manifest, progress: &Progress) -> anyhow::Result<()> {
    let geometry = manifest.geometry()?;
    let image = RepoFile::open(&layout::image(&repository.path))?;
    if image.can_grow() {
        image.set_len(manifest.device_bytes)?;
    }
    // What is hashed now and kept must not be lost later.
    image.sync()?;
    let hashes = Hashes::open(&layout::hashes(&repository.path))?;
    hashes.set_units(geometry.units())?;
    let mut zero_hash = ZeroHash::default();
    let mut buf = vec![0; usize::try_from(geometry.unit_bytes)?];
    let mut batch = Vec::new();
    for unit in 0..geometry.units() {
        let extent = geometry.extent(unit);
        // A hole need not be read.
        let is_hole = image.next_data(extent.offset)?.is_none_or(|data| data >= extent.end());
        let hash = if is_hole {
            zero_hash.of(extent.len)
        } else {
            let buf = &mut buf[..usize::try_from(extent.len)?];
            image.read(buf, extent.offset)?;
            hash(buf)
        };
        batch.push((unit, hash));
        if batch.len() == 4096 || unit + 1 == geometry.units() {
            hashes.set(&batch)?;
            batch.clear();
        }
        progress.advance(extent.len);
    }
    hashes.sync()
}
