// SPDX-License-Identifier: GPL-3.0-or-later
//! What a backup costs grows with what changed, not with the device: the same changes on a small device, on one that is about a
//! thousand times as large, and a tenth of them there.
//!
//! The devices are sparse files, and what changed of them are holes: the disk is out of it, and what era itself does for a block, or
//! for a device, shows the more.

use std::fs::File;

use era::runs::BlockSet;
use era::stream::Kind;

use super::{BLOCK_BYTES, Entry, choose_some};
use crate::data::Data;
use crate::metadata_builder::{self, Description, Writeset};
use crate::names::Names;
use crate::streams;
use crate::work::Work;

const SMALL: u64 = 16 << 30;
/// The largest round size that a file can have on ext4.
const LARGE: u64 = 15 << 40;

/// Blocks that changed: 500 MiB, a gigabyte where two such increments are taken, and a tenth of that.
const MANY: u64 = 1000;
const FEW: u64 = MANY / 10;

/// Each of them a device and what changed of it.
const CASES: [(&str, u64, u64); 3] = [("SMALL", SMALL, MANY), ("LARGE", LARGE, MANY), ("FEW", LARGE, FEW)];

const CURRENT_ERA: u32 = 1000;

pub fn changed(data: &Data) -> anyhow::Result<Entry> {
    let directory = data.directory()?;
    let mut names = data.names().with("FILE", directory.path().join("SMALL"));
    let mut paths = Vec::new();
    for (name, bytes, count) in CASES {
        let path = directory.path().join(name);
        let file = File::create(&path)?;
        let nr_blocks = u32::try_from(bytes / BLOCK_BYTES)?;
        let mut what = Description::clean(nr_blocks, CURRENT_ERA);
        let blocks = blocks(bytes, count);
        let blocks = blocks.runs().flat_map(|run| run.begin..run.end);
        let blocks: Vec<u32> = blocks.map(|block| u32::try_from(block).expect("a block")).collect();
        what.live.archived.insert(CURRENT_ERA - 1, Writeset::new(nr_blocks, blocks));
        metadata_builder::write(&file, &what)?;
        file.sync_all()?;
        names = names.with(name, &path);
        paths.push(path);
    }
    let mut work = Work::new("flat: list what changed", MANY * BLOCK_BYTES, &names);
    for (name, path) in ["SMALL", "LARGE", "FEW"].into_iter().zip(paths) {
        work = work.reading(path).command(&format!("era changed --metadata {name} --since 999 --total"));
    }
    Ok(Entry::Work(work.holding(directory)))
}

pub fn copied(data: &Data) -> anyhow::Result<Entry> {
    let directory = data.directory()?;
    let mut names = data.names().with("FILE", directory.path().join("SMALL"));
    for (name, list, bytes, count) in
        [("SMALL", "LIST", SMALL, MANY), ("LARGE", "LIST2", LARGE, MANY), ("FEW", "LIST3", LARGE, FEW)]
    {
        let path = directory.path().join(name);
        File::create(&path)?.set_len(bytes)?;
        names = names.with(name, path).with(list, data.list(list, &blocks(bytes, count))?);
    }
    let work = Work::new("flat: read what changed", MANY * BLOCK_BYTES, &names)
        .command("era_copy --format 2 1024 SMALL < LIST")
        .command("era_copy --format 2 1024 LARGE < LIST2")
        .command("era_copy --format 2 1024 FEW < LIST3");
    Ok(Entry::Work(work.holding(directory)))
}

/// Two increments in turn, so that all of each is new; and a look at what there is then.
pub fn received(data: &Data) -> anyhow::Result<Entry> {
    let directory = data.directory()?;
    let path = |name: &str| directory.path().join(name);
    let mut names: Names = data.names().clone();
    for (name, empty, bytes) in [("SMALL", "EMPTY", SMALL), ("LARGE", "EMPTY2", LARGE)] {
        streams::write_empty(&path(empty), bytes)?;
        names = names.with(name, path(name)).with(empty, path(empty));
    }
    for (name, seed, bytes, count) in [
        ("A", 1, SMALL, MANY),
        ("B", 2, SMALL, MANY),
        ("A2", 1, LARGE, MANY),
        ("B2", 2, LARGE, MANY),
        ("A3", 3, LARGE, FEW),
        ("B3", 4, LARGE, FEW),
    ] {
        streams::write(&path(name), bytes, Kind::Increment, &blocks(bytes, count), seed)?;
        names = names.with(name, path(name));
    }
    let names = names.with("FILE", path("A"));
    // Of each block that is zeros its hash is written, once: a GiB of hashes for the large device.
    data.prepare("era receive SMALL < EMPTY ; era receive LARGE < EMPTY2", &names)?;
    let work = Work::new("flat: take what changed, list points", 2 * MANY * BLOCK_BYTES, &names);
    let streams = ["B", "A2", "B2", "A3", "B3", "SMALL/image", "LARGE/image"];
    let work = streams.into_iter().fold(work, |work, name| work.reading(path(name)));
    let work = work
        .command("era receive SMALL < A ; era receive SMALL < B ; era points SMALL")
        .command("era receive LARGE < A2 ; era receive LARGE < B2 ; era points LARGE")
        .command("era receive LARGE < A3 ; era receive LARGE < B3 ; era points LARGE");
    Ok(Entry::Work(work.holding(directory)))
}

fn blocks(bytes: u64, count: u64) -> BlockSet {
    choose_some(bytes / BLOCK_BYTES, count)
}
