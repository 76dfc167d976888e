// SPDX-License-Identifier: GPL-3.0-or-later
//! What a disk gives when scattered ranges are read with so many requests at a time, and nothing else is done.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::Context;
use era::sys::AlignedBuf;
use era::units::Extent;
use rustix::fs::OFlags;

use crate::pipeline::Cost;

/// As large a request as era makes.
const REQUEST_BYTES: u64 = 256 << 10;

/// Reads all extents, which must be aligned, past the page cache.
pub fn read(path: &Path, extents: &[Extent], at_a_time: usize) -> anyhow::Result<Cost> {
    let begin = Instant::now();
    let flags = OFlags::DIRECT.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let readers: Vec<_> =
            (0..at_a_time).map(|_| scope.spawn(|| read_in_turn(&file, extents, &next))).collect();
        readers.into_iter().try_for_each(|reader| reader.join().expect("readers do not panic"))
    })?;
    Ok(Cost { time: begin.elapsed(), peaks: Vec::new() })
}

/// Reads one extent after another, each the next that nobody else has taken.
fn read_in_turn(file: &File, extents: &[Extent], next: &AtomicUsize) -> anyhow::Result<()> {
    let mut buf = AlignedBuf::new(usize::try_from(REQUEST_BYTES)?, 4096);
    while let Some(extent) = extents.get(next.fetch_add(1, Ordering::Relaxed)) {
        let mut offset = extent.offset;
        while offset < extent.end() {
            let len = (extent.end() - offset).min(REQUEST_BYTES);
            file.read_exact_at(&mut buf[..usize::try_from(len)?], offset)
                .with_context(|| format!("byte {offset}"))?;
            offset += len;
        }
    }
    Ok(())
}
