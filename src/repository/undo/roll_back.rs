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
use super::{HASHES, index_of};
use crate::repository::file::RepoFile;
use crate::repository::hashes::{Hashes, UnitHash};
use crate::stream::{self, Fault, Header, Kind, StreamError, Visitor};
use crate::units::Extent;

/// Applies the undo stream to image and hashes, as far as it goes, and makes that durable.
pub fn roll_back(path: &Path, image: &RepoFile, hashes: &Hashes, unit_bytes: u64) -> anyhow::Result<()> {
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
        bail!(
            "{}: is damaged: {needed} units must be in it, {} can be read; the image cannot be brought back to the \
             previous point",
            name(),
            target.units
        );
    }
    if let Some(device_bytes) = target.device_bytes {
        if image.can_grow() {
            image.set_len(device_bytes)?;
        }
        hashes.set_units(device_bytes.div_ceil(unit_bytes))?;
    }
    image.sync()?;
    hashes.sync()
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
