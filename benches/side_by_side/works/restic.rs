// SPDX-License-Identifier: GPL-3.0-or-later
//! Repositories of restic's format: what a run costs beside restic and borg, which read the device to find out what changed, and that it
//! costs the same on a device sixteen times as large.
//!
//! Streams come from files: they are what `era send` writes, of whole segments. Reading the device is measured beside that, one after
//! the other, where a backup does both at once.

use std::cell::RefCell;

use era::runs::{BlockSet, Run};
use era::stream::Kind;

use super::instead::{BORG_AGAIN, BORG_FIRST, RESTIC_AGAIN, RESTIC_FIRST, others};
use super::{BLOCK_BYTES, Entry, choose_some};
use crate::data::Data;
use crate::pipeline::Pipeline;
use crate::streams;
use crate::work::{ROUNDS, Work};

/// What snapshots are made of, and how many blocks that is.
const SEGMENT_BYTES: u64 = 1 << 20;
const BLOCKS: u64 = SEGMENT_BYTES / BLOCK_BYTES;

const DEVICE_BYTES: u64 = 4 << 30;
const TIB: u64 = 1 << 40;

/// On the large devices, a gigabyte.
const CHANGED: u64 = 1024;

const READ: &str = "era_copy --format 2 1024 FILE < LIST";
pub const AGAIN: &str = "era_copy --format 2 1024 FILE < LIST ; era receive --name vol URL < NEXT";

/// So many segments of a device, at random.
fn segments(device_bytes: u64, count: u64) -> BlockSet {
    let mut blocks = BlockSet::new(device_bytes / BLOCK_BYTES);
    for run in choose_some(device_bytes / SEGMENT_BYTES, count).runs() {
        blocks.insert(Run { begin: run.begin * BLOCKS, end: run.end * BLOCKS });
    }
    blocks
}

/// A device of 4 GiB, of which one percent changed. Each round has changes of its own: nothing is uploaded twice.
pub fn again(data: &Data) -> anyhow::Result<Entry> {
    let directory = data.directory()?;
    let path = |name: &str| directory.path().join(name);
    let blocks = segments(DEVICE_BYTES, DEVICE_BYTES / SEGMENT_BYTES / 100);
    let mut all = BlockSet::new(DEVICE_BYTES / BLOCK_BYTES);
    all.insert(Run { begin: 0, end: DEVICE_BYTES / BLOCK_BYTES });
    let file = data.file("device", DEVICE_BYTES >> 20, |piece, bytes| {
        crate::random::Random::new(piece << 40).fill(bytes);
    })?;
    let mut url = std::ffi::OsString::from("restic:");
    url.push(path("repository"));
    let names = data
        .names()
        .with("FILE", file)
        .with("LIST", data.list("changed-segments", &blocks)?)
        .with("FULL", path("full"))
        .with("URL", url)
        .with_variable("RESTIC_PASSWORD", "none");
    streams::write(&path("full"), DEVICE_BYTES, Kind::Full, &all, 0)?;
    data.prepare("era receive --init --name vol URL < FULL", &names)?;
    std::fs::remove_file(path("full"))?;
    let theirs = others(&names, &path("others"), data);
    for (program, command) in [("borg", BORG_FIRST), ("restic", RESTIC_FIRST)] {
        if names.has_program(program) {
            data.prepare(command, &theirs)?;
        }
    }
    let mut work = Work::new("restic: again, a hundredth of 4 GiB changed", DEVICE_BYTES, &theirs);
    let mut runs = Vec::new();
    for round in 0..=ROUNDS {
        let stream = path(&format!("next-{round}"));
        streams::write(&stream, DEVICE_BYTES, Kind::Increment, &blocks, u64::from(round) + 1)?;
        let command = format!("{READ} ; era receive --name vol URL < NEXT");
        let names = names.with("NEXT", &stream);
        runs.push(Pipeline::new(&command, &names, data.dir().join("complaints")));
        work = work.reading(stream);
    }
    let runs = RefCell::new(runs.into_iter());
    let work = work
        .command(RESTIC_AGAIN)
        .command(BORG_AGAIN)
        .function(AGAIN, move || runs.borrow_mut().next().expect("one for each round").run())
        .holding(directory);
    Ok(Entry::Work(work))
}

/// A gigabyte of changes, here and there on a device of 1 TiB and on one of 16 TiB; each time in a new repository, which takes the
/// device as it was, all zeros, before that.
pub fn flat(data: &Data) -> anyhow::Result<Entry> {
    let directory = data.directory()?;
    let path = |name: &str| directory.path().join(name);
    let mut url = std::ffi::OsString::from("restic:");
    url.push(data.dir().join("out"));
    let mut names = data.names().with("URL", url).with_variable("RESTIC_PASSWORD", "none");
    for (bytes, empty, changes) in [(TIB, "EMPTY", "A"), (16 * TIB, "EMPTY16", "A16")] {
        streams::write_empty(&path(empty), bytes)?;
        streams::write(&path(changes), bytes, Kind::Increment, &segments(bytes, CHANGED), 1)?;
        names = names.with(empty, path(empty)).with(changes, path(changes));
    }
    let names = names.with("FILE", path("A"));
    let work =
        Work::new("restic: take a gigabyte of changes, of 1 TiB and 16", CHANGED * SEGMENT_BYTES, &names)
            .reading(path("A16"))
            .command("era receive --init --name vol URL < EMPTY ; era receive --name vol URL < A")
            .command("era receive --init --name vol URL < EMPTY16 ; era receive --name vol URL < A16");
    Ok(Entry::Work(work.holding(directory)))
}
