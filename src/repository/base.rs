// SPDX-License-Identifier: GPL-3.0-or-later
//! What a repository has, as a list of hashes: the base of a stream that holds only what is different.
//!
//! While the first copy is not whole, nothing says how much of it arrived: then the image is read and hashed, and the
//! manifest notes which list came of it.

use std::io::{self, Write};

use anyhow::Context;

use super::file::RepoFile;
use super::hashes::{Hashes, UnitHash, ZeroHash, hash};
use super::layout;
use super::manifest::Manifest;
use super::open::Repository;
use crate::report::Progress;
use crate::stream::{HashListHeader, HashListWriter};

/// Makes the repository ready to be compared with: of an unfinished first copy, it is found out what there is.
pub fn prepare(repository: &Repository, manifest: &mut Manifest, progress: &Progress) -> anyhow::Result<()> {
    if manifest.points.is_empty() {
        hash_image(repository, manifest, progress)?;
        manifest.base = Some(identify(repository, manifest)?);
        manifest.write(&repository.path)?;
    }
    Ok(())
}

/// Units of a sample, at least.
const LEAST_SAMPLE: u64 = 64;

/// From one unit of a sample to the next, where it is to be one in so many.
pub fn stride(units: u64, one_in: u64) -> u64 {
    one_in.min(units / LEAST_SAMPLE).max(1)
}

/// Writes the list of a unit and of each so many behind it; returns what identifies it.
pub fn write_list(
    repository: &Repository,
    manifest: &Manifest,
    first: u64,
    stride: u64,
    output: impl Write,
) -> anyhow::Result<UnitHash> {
    let hashes = Hashes::open_to_read(&layout::hashes(&repository.path))?;
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
    for at in 0..header.count() {
        let hash = hashes
            .get(first + at * stride)?
            .context("the file of hashes is too short; era verify says what is damaged")?;
        writer.push(&hash).context(sending)?;
    }
    writer.finish().context(sending)
}

/// What identifies the list of what there is.
pub fn identify(repository: &Repository, manifest: &Manifest) -> anyhow::Result<UnitHash> {
    write_list(repository, manifest, 0, 1, io::sink())
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
