// SPDX-License-Identifier: GPL-3.0-or-later
//! Back to the previous point after a crash.
//!
//! Nothing of the image was overwritten before the batch of the undo stream that has its old content was durable. So what
//! cannot be read at the end of the stream, because it was torn, undoes nothing that was done. What must be there, the
//! index says: it gets a batch's units, durably, between the one and the other. Rolling back may itself be interrupted, and be done again.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, bail};

use super::index::Index;
use super::{HASHES, Undo, index_of};
use crate::blockio::ReadError;
use crate::report;
use crate::repository::file::RepoFile;
use crate::repository::geometry::Geometry;
use crate::repository::hashes::{Hashes, UnitHash, hash};
use crate::stream::{self, Fault, Header, Kind, StreamError, Visitor};
use crate::units::Extent;

/// Applies the undo stream to image and hashes, as far as it goes, and makes that durable. The geometry is that of the point
/// that it leads to.
pub fn roll_back(path: &Path, geometry: Geometry, image: &RepoFile, hashes: &Hashes) -> anyhow::Result<()> {
    let name = || path.display().to_string();
    let file = File::open(path).with_context(name)?;
    let len = file.metadata().with_context(name)?.len();
    let index = index_of(path);
    let needed = if index.exists() { Index::open_growing(&index)?.units() } else { 0 };
    let mut target = Target { image, hashes, device_bytes: None, units: 0 };
    // Nothing was ever written to an empty one.
    if len > 0
        && let Err(e) = stream::read(BufReader::with_capacity(1 << 20, file), &mut target)
    {
        match e.downcast_ref::<StreamError>() {
            // A disk that does not answer has not torn anything.
            None | Some(StreamError { fault: Fault::Unreadable(_), .. }) => return Err(e.context(name())),
            Some(_) => {}
        }
    }
    if target.units < needed {
        target.device_bytes.get_or_insert(geometry.device_bytes);
        one_by_one(path, geometry, image, hashes)?;
    }
    if let Some(device_bytes) = target.device_bytes {
        if image.can_grow() {
            image.set_len(device_bytes)?;
        }
        hashes.set_units(device_bytes.div_ceil(geometry.unit_bytes))?;
    }
    image.sync()?;
    hashes.sync()
}

/// Not all of a damaged stream can be read from its beginning to its end. What can be found by the index is put back; of the
/// rest the old hash is, so that it is known to be damaged.
fn one_by_one(path: &Path, geometry: Geometry, image: &RepoFile, hashes: &Hashes) -> anyhow::Result<()> {
    let Some(undo) = Undo::open_growing(path, geometry)? else { return Ok(()) };
    let Some(mut reader) = Undo::open_growing(path, geometry)? else { return Ok(()) };
    let (mut lost, mut first) = (0u64, None);
    for entry in undo.entries()? {
        let entry = entry?;
        let extent = geometry.extent(entry.unit);
        let mut bytes = vec![0; usize::try_from(extent.len)?];
        match reader.read(&entry, &mut bytes) {
            Ok(()) if hash(&bytes) == entry.hash => image.write(&bytes, extent.offset)?,
            Err(e) if matches!(ReadError::of(&e), Some(ReadError::Io { .. })) => return Err(e),
            _ => {
                lost += 1;
                first.get_or_insert(extent);
            }
        }
        hashes.set(&[(entry.unit, entry.hash)])?;
    }
    if let Some(first) = first {
        report::warn(format_args!(
            "{}: is damaged: {lost} blocks of the last point are lost, the first at byte {}; era verify names them, and with \
             SOURCE and --repair gets back what the device still has",
            path.display(),
            first.offset
        ));
    }
    Ok(())
}

struct Target<'a> {
    image: &'a RepoFile,
    hashes: &'a Hashes,
    /// The size to go back to, when the stream has said it.
    device_bytes: Option<u64>,
    /// Units whose batch is whole.
    units: u64,
}

impl Visitor for Target<'_> {
    fn begin(&mut self, header: Option<&Header>) -> anyhow::Result<()> {
        match header {
            Some(header) if header.kind == Kind::Undo => {
                self.device_bytes = Some(header.device_bytes);
                Ok(())
            }
            _ => bail!("is no undo stream"),
        }
    }

    fn data(&mut self, offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
        self.image.write(bytes, offset)
    }

    fn zeros(&mut self, extent: Extent) -> anyhow::Result<()> {
        self.image.zero(extent)
    }

    fn optional(&mut self, kind: u32, payload: &[u8]) -> anyhow::Result<()> {
        if kind != HASHES {
            return Ok(());
        }
        let pairs: Vec<(u64, UnitHash)> = payload
            .chunks_exact(40)
            .map(|pair| {
                let (mut unit, mut hash) = ([0; 8], [0; 32]);
                unit.copy_from_slice(&pair[..8]);
                hash.copy_from_slice(&pair[8..]);
                (u64::from_le_bytes(unit), hash)
            })
            .collect();
        self.units += pairs.len() as u64;
        self.hashes.set(&pairs)
    }
}
