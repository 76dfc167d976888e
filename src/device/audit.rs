// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether tracking can be trusted: units that nothing says were written are read and compared with what the receiver
//! has.
//!
//! The device is read while it is in use, so as not to prolong a snapshot or a freeze. A unit that is written meanwhile is
//! marked before its data reach the disk; so what differs and is not marked in any era from the cursor on, asked after the
//! reading, has changed behind dm-era's back, or in the repository.

use std::io::Read;

use anyhow::Context;

use super::dm::Dm;
use super::metadata_snapshot::changed;
use super::tracked::Tracked;
use crate::blockio::{ReadError, Source, read_extents};
use crate::report::Progress;
use crate::runs::{BlockSet, Run};
use crate::stream::{Audit, HashListReader, MAX_NAMED};
use crate::units::{Era, Extent};

/// Compares what a list has with the device, but for blocks that were `sent`. `next` is the era from which on changes
/// are not in the stream.
pub fn audit(
    dm: &Dm,
    tracked: &Tracked,
    mut list: HashListReader<impl Read>,
    sent: &BlockSet,
    next: Era,
    progress: &Progress,
) -> anyhow::Result<Audit> {
    let path = tracked.path()?;
    let source = Source::open(&path).with_context(|| path.display().to_string())?;
    let header = list.header;
    let mut audit = Audit { first: header.first, stride: header.stride, ..Audit::default() };
    let units = header.device_bytes.div_ceil(header.unit_bytes);
    let mut differing = BlockSet::new(units);
    let mut unit = header.first;
    while let Some(expected) = list.next_hash()? {
        let extent = extent_of(unit, header.unit_bytes, header.device_bytes);
        // Where the device has another size by now, its last unit is another one.
        let is_whole = extent == extent_of(unit, header.unit_bytes, tracked.bytes);
        if is_whole && !touches(tracked, sent, extent) {
            audit.checked += 1;
            if hash(&source, extent).with_context(|| path.display().to_string())? != expected {
                differing.insert(Run { begin: unit, end: unit + 1 });
            }
            progress.advance(extent.len);
        }
        unit += header.stride;
    }
    list.finish()?;
    if !differing.is_empty() {
        let written = changed(dm, tracked, next)?.blocks;
        let all = differing.runs().flat_map(|run| run.begin..run.end);
        let real = all
            .filter(|&unit| !touches(tracked, &written, extent_of(unit, header.unit_bytes, tracked.bytes)));
        for unit in real {
            audit.differing += 1;
            if audit.units.len() < MAX_NAMED {
                audit.units.push(unit);
            }
        }
    }
    Ok(audit)
}

fn extent_of(unit: u64, unit_bytes: u64, device_bytes: u64) -> Extent {
    let offset = (unit * unit_bytes).min(device_bytes);
    Extent { offset, len: unit_bytes.min(device_bytes - offset) }
}

/// Whether a block of a set is in a range of bytes.
fn touches(tracked: &Tracked, blocks: &BlockSet, extent: Extent) -> bool {
    let size = tracked.block_size;
    (size.block_of(extent.offset)..=size.block_of(extent.end().saturating_sub(1)))
        .any(|block| blocks.contains(block))
}

fn hash(source: &Source, extent: Extent) -> Result<[u8; 32], ReadError> {
    let mut hasher = blake3::Hasher::new();
    read_extents(source, [extent], |piece| {
        hasher.update(piece.bytes);
        Ok::<_, ReadError>(())
    })?;
    Ok(*hasher.finalize().as_bytes())
}
