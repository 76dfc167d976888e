// SPDX-License-Identifier: GPL-3.0-or-later
//! What one would use in place of all this: a disk is backed up for the first time, and again when a tenth of it has changed.
//!
//! The others must read the whole disk to find out what changed; that is what tracking is for. They are treated well: none
//! encrypts or compresses where it can be told not to, and the second time they find nothing that is new, so that they only read.
//! era has a tenth to read, and to take into the repository: one after the other, where a backup does both at once. It takes two
//! increments in turn, as it would write nothing for one that it has already.

use std::cell::RefCell;

use era::runs::BlockSet;
use era::stream::Kind;

use super::{BLOCK_BYTES, Entry, choose, with_list_of_all};
use crate::data::Data;
use crate::names::Names;
use crate::pipeline::Pipeline;
use crate::streams;
use crate::work::Work;

const RSYNC: &str = "rsync --inplace --no-whole-file FILE MIRROR";
pub const BORG_FIRST: &str = "borg init --make-parent-dirs -e none ; borg create -C none ::1 FILE";
pub const BORG_AGAIN: &str = "borg create -C none --files-cache disabled ::{utcnow} FILE";
pub const RESTIC_FIRST: &str = "restic init ; restic backup --compression off FILE";
pub const RESTIC_AGAIN: &str = "restic backup --compression off --force FILE";

pub fn first(data: &Data) -> anyhow::Result<Entry> {
    let names = with_list_of_all(data, data.bytes())?;
    let path = data.dir().join("out");
    let names = others(&names, &path, data);
    let work = Work::new("back up a disk for the first time", data.bytes(), &names)
        .command("cp --sparse=always FILE OUT ; sync OUT")
        .command("era_copy --format 2 1024 FILE < LIST | era_apply OUT")
        .command("rsync --inplace FILE OUT ; sync OUT")
        .command(BORG_FIRST)
        .command(RESTIC_FIRST);
    Ok(Entry::Work(work))
}

pub fn again(data: &Data) -> anyhow::Result<Entry> {
    let directory = data.directory()?;
    let path = |name| directory.path().join(name);
    let end = data.bytes() / BLOCK_BYTES;
    let blocks = choose(end, 10);
    let mut all = BlockSet::new(end);
    all.insert(era::runs::Run { begin: 0, end });
    let names = data
        .names()
        .with("LIST", data.list("changed-blocks", &blocks)?)
        .with("MIRROR", path("mirror"))
        .with("REPO", path("repo"))
        .with("FULL", path("full"))
        .with("A", path("a"))
        .with("B", path("b"));
    streams::write(&path("full"), data.bytes(), Kind::Full, &all, 0)?;
    for (name, seed) in [("a", 1), ("b", 2)] {
        streams::write(&path(name), data.bytes(), Kind::Increment, &blocks, seed)?;
    }
    data.prepare("era receive REPO < FULL ; cp FILE MIRROR ; sync MIRROR", &names)?;
    std::fs::remove_file(path("full"))?;
    let names = others(&names, &path("others"), data);
    for (program, command) in [("borg", BORG_FIRST), ("restic", "restic init")] {
        if names.has_program(program) {
            data.prepare(command, &others(&names, &path("others"), data))?;
        }
    }
    let work = Work::new("back it up again, a tenth of it changed", data.bytes(), &names)
        .reading(path("repo/image"))
        .reading(path("mirror"))
        .reading(path("a"))
        .reading(path("b"))
        .holding(directory);
    let read = "era_copy --format 2 1024 FILE < LIST";
    let [mut next, mut after] = ["A", "B"].map(|stream| {
        let command = format!("{read} ; era receive REPO < {stream}");
        Pipeline::new(&command, &names, data.dir().join("complaints"))
    });
    let turn = RefCell::new(move || {
        std::mem::swap(&mut next, &mut after);
        after.run()
    });
    let work = work
        .command(RSYNC)
        .function(&format!("{read} ; era receive REPO < A or B"), move || (turn.borrow_mut())());
    Ok(Entry::Work(work.command(BORG_AGAIN).command(RESTIC_AGAIN)))
}

/// Where other programs find their repository, and what they would ask for.
pub fn others(names: &Names, at: &std::path::Path, data: &Data) -> Names {
    names
        .with_variable("BORG_REPO", at.join("borg"))
        .with_variable("BORG_BASE_DIR", data.dir().join("borg"))
        .with_variable("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")
        .with_variable("RESTIC_REPOSITORY", at.join("restic"))
        .with_variable("RESTIC_CACHE_DIR", data.dir().join("restic"))
        .with_variable("RESTIC_PASSWORD", "none")
}
