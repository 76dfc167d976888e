// SPDX-License-Identifier: GPL-3.0-or-later
//! What a repository costs beside a plain image: taking streams, checking, giving back, showing.

use std::path::Path;

use era::runs::{BlockSet, Run};
use era::stream::Kind;
use tempfile::TempDir;

use super::{BLOCK_BYTES, Entry, choose};
use crate::data::Data;
use crate::mounted::Mounted;
use crate::names::Names;
use crate::streams;
use crate::work::Work;

pub const APPLY: &str = "era_apply IMAGE < A ; era_apply IMAGE < B";
/// Writes as many bytes as a repository, which keeps what it overwrites, must at least.
const APPLY_TWICE: &str =
    "era_apply IMAGE < A ; era_apply IMAGE < B ; era_apply IMAGE2 < A ; era_apply IMAGE2 < B";
pub const RECEIVE: &str = "era receive REPO < A ; era receive REPO < B";
pub const APPLY_FIRST: &str = "era_apply OUT < FULL";
pub const RECEIVE_FIRST: &str = "era receive OUT < FULL";
pub const READ: &str = "dd if=IMAGE bs=4M iflag=direct";
pub const VERIFY: &str = "era verify REPO";
pub const CP: &str = "cp --sparse=always IMAGE OUT ; sync OUT";
pub const RESTORE: &str = "era restore REPO OUT";
pub const READ_CACHED: &str = "dd if=IMAGE bs=1M";
pub const READ_MOUNTED: &str = "dd if=MOUNTED bs=1M";

const TITLE_MOUNTED: &str = "read a point through era mount";

pub fn first(data: &Data) -> anyhow::Result<Entry> {
    let (directory, names) = full(data)?;
    let names = names.with("FILE", directory.path().join("full"));
    let work = Work::new("take a first copy", data.bytes(), &names);
    Ok(Entry::Work(work.holding(directory).command(APPLY_FIRST).command(RECEIVE_FIRST)))
}

/// Whatever is overwritten is kept as well: that is the price of points in time.
pub fn increments(data: &Data) -> anyhow::Result<Entry> {
    let (directory, mut names) = full(data)?;
    let path = |name| directory.path().join(name);
    let blocks = choose(data.bytes() / BLOCK_BYTES, 10);
    for (name, seed) in [("A", 1), ("B", 2)] {
        streams::write(&path(name), data.bytes(), Kind::Increment, &blocks, seed)?;
        names = names.with(name, path(name));
    }
    let names = names.with("FILE", path("A")).with("REPO", path("repo")).with("IMAGE", path("image"));
    let names = names.with("IMAGE2", path("image2"));
    data.prepare("era_apply IMAGE < FULL ; era_apply IMAGE2 < FULL ; era receive REPO < FULL", &names)?;
    let title = "take two increments of 10 % in random blocks of 512 KiB";
    let work = Work::new(title, 2 * blocks.len() * BLOCK_BYTES, &names)
        .reading(path("B"))
        .reading(path("image"))
        .reading(path("image2"))
        .reading(path("repo/image"));
    Ok(Entry::Work(work.holding(directory).command(APPLY).command(APPLY_TWICE).command(RECEIVE)))
}

pub fn verify(data: &Data) -> anyhow::Result<Entry> {
    let (directory, names) = repository(data)?;
    let work = Work::new("check a repository", data.bytes(), &names).holding(directory);
    Ok(Entry::Work(work.command(READ).command(VERIFY)))
}

pub fn restore(data: &Data) -> anyhow::Result<Entry> {
    let (directory, names) = repository(data)?;
    let work = Work::new("get a point back into a file", data.bytes(), &names).holding(directory);
    Ok(Entry::Work(work.command(CP).command(RESTORE)))
}

pub fn mounted(data: &Data) -> anyhow::Result<Entry> {
    let (directory, names) = repository(data)?;
    let era = names.path("era").expect("our program");
    let repository = names.path("REPO").expect("just made");
    let mounted = match Mounted::new(era, repository, directory.path().join("mounted")) {
        Ok(mounted) => mounted,
        Err(e) => return Ok(Entry::LeftOut { title: TITLE_MOUNTED, why: format!("{e:#}") }),
    };
    let latest = mounted.latest()?;
    let names = names.with("MOUNTED", &latest);
    let work =
        Work::new(TITLE_MOUNTED, data.bytes(), &names).holding(directory).holding(mounted).reading(latest);
    Ok(Entry::Work(work.command(READ_CACHED).command(READ_MOUNTED)))
}

/// FULL, the stream of a device of random data, in a directory of its own.
fn full(data: &Data) -> anyhow::Result<(TempDir, Names)> {
    let directory = data.directory()?;
    let path = directory.path().join("full");
    let end = data.bytes() / BLOCK_BYTES;
    let mut blocks = BlockSet::new(end);
    blocks.insert(Run { begin: 0, end });
    streams::write(&path, data.bytes(), Kind::Full, &blocks, 0)?;
    Ok((directory, data.names().with("FULL", path)))
}

/// REPO, with one point, and its IMAGE.
fn repository(data: &Data) -> anyhow::Result<(TempDir, Names)> {
    let (directory, names) = full(data)?;
    let repository = directory.path().join("repo");
    let image = repository.join("image");
    let names = names.with("REPO", repository).with("IMAGE", &image).with("FILE", image);
    data.prepare("era receive REPO < FULL", &names)?;
    remove(&directory.path().join("full"))?;
    Ok((directory, names))
}

fn remove(path: &Path) -> anyhow::Result<()> {
    Ok(std::fs::remove_file(path)?)
}
