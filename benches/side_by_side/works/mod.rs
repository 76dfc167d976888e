// SPDX-License-Identifier: GPL-3.0-or-later
//! The works, in the order of the table.

pub mod compressed;
mod disk_to_disk;
mod flat;
pub mod instead;
mod metadata;
pub mod repository;
pub mod restic;
mod scattered;
mod whole;
mod zeros;

use anyhow::bail;
use era::runs::{BlockSet, Run};

use crate::data::Data;
use crate::names::Names;
use crate::random::Random;
use crate::work::Work;

/// Reads the whole device in blocks of 512 KiB and writes version 1.
pub const ERA_COPY: &str = "era_copy 1024 FILE < LIST";
pub const DD_64K: &str = "dd if=FILE bs=64K iflag=direct";
pub const DD_4M: &str = "dd if=FILE bs=4M iflag=direct";
pub const ERA_COPY_V2: &str = "era_copy --format 2 1024 FILE < LIST";
/// As it is asked for a whole metadata device.
pub const ERA_CHANGED: &str = "era changed --metadata FILE --since 500 --total";
const CLASSIC_COPY: &str = "classic/era_copy 1024 FILE < LIST";

/// The block size of those commands.
const BLOCK_BYTES: u64 = 1024 * 512;

/// Something to do, or why it cannot be done here.
pub enum Entry {
    Work(Work),
    LeftOut { title: &'static str, why: String },
}

/// Makes a work, with its data, when its turn comes.
pub type Make = fn(&Data) -> anyhow::Result<Entry>;

/// Each with the word that chooses it.
pub const ALL: [(&str, Make); 26] = [
    ("file", whole::file),
    ("block-device", whole::block_device),
    ("pipe", whole::pipe),
    ("large-blocks", scattered::large_blocks),
    ("small-blocks", scattered::small_blocks),
    ("disk-to-disk", disk_to_disk::make),
    ("zeros", zeros::make),
    ("compressed", compressed::make),
    ("half-compressible", compressed::piped),
    ("incompressible", compressed::in_vain),
    ("metadata-small", metadata::small),
    ("metadata", metadata::large),
    ("metadata-archived", metadata::archived),
    ("metadata-huge", metadata::huge),
    ("receive-first", repository::first),
    ("receive", repository::increments),
    ("verify", repository::verify),
    ("restore", repository::restore),
    ("mount", repository::mounted),
    ("first-backup", instead::first),
    ("next-backup", instead::again),
    ("flat-changed", flat::changed),
    ("flat-copy", flat::copied),
    ("flat-receive", flat::received),
    ("restic-next", restic::again),
    ("restic-flat", restic::flat),
];

/// Take minutes each, and so are done only when they are named.
const LONG: [&str; 2] = ["restic-next", "restic-flat"];

/// The words that choose works.
pub fn names() -> String {
    ALL.map(|(name, _)| name).join(", ")
}

/// Those that the arguments of the program choose; if they choose none, all that do not take long.
pub fn chosen(arguments: impl Iterator<Item = String>) -> anyhow::Result<Vec<(&'static str, Make)>> {
    // What cargo bench passes on its own.
    let words: Vec<_> = arguments.filter(|argument| argument != "--bench").collect();
    if let Some(unknown) = words.iter().find(|word| ALL.iter().all(|(name, _)| name != word)) {
        bail!("{unknown}: there is no such work; the works are {}", names());
    }
    Ok(ALL
        .into_iter()
        .filter(|(name, _)| match words.as_slice() {
            [] => !LONG.contains(name),
            words => words.iter().any(|word| word == name),
        })
        .collect())
}

/// So many percent of the blocks, at random.
fn choose(all: u64, percent: u64) -> BlockSet {
    choose_some(all, all * percent / 100)
}

/// So many of the blocks, at random; a few less, as some are chosen twice.
fn choose_some(all: u64, count: u64) -> BlockSet {
    let mut random = Random::new(count);
    let mut blocks = BlockSet::new(all);
    for _ in 0..count {
        let begin = random.below(all);
        blocks.insert(Run { begin, end: begin + 1 });
    }
    blocks
}

/// LIST, of all blocks of so many bytes.
fn with_list_of_all(data: &Data, bytes: u64) -> anyhow::Result<Names> {
    let end = bytes / BLOCK_BYTES;
    let mut blocks = BlockSet::new(end);
    blocks.insert(Run { begin: 0, end });
    Ok(data.names().with("LIST", data.list("all-blocks", &blocks)?))
}
