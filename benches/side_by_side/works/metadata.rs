// SPDX-License-Identifier: GPL-3.0-or-later
//! Asking a large device what changed: metadata for 32 million blocks, all of which must be read and checked.

use std::fs::File;

use super::{DD_4M, Entry};
use crate::data::Data;
use crate::metadata_builder::{self, Description, Eras};
use crate::random::Random;
use crate::work::Work;

const BLOCKS: u32 = 32_000_000;
const CURRENT_ERA: u32 = 1000;

pub fn make(data: &Data) -> anyhow::Result<Entry> {
    let path = data.dir().join("metadata");
    let file = File::create(&path)?;
    let mut what = Description::clean(BLOCKS, CURRENT_ERA);
    // Neighbours were written in unrelated eras: the worst case for a list of runs.
    what.live.eras = Eras::new(|block| {
        let era = Random::new(block).below(u64::from(CURRENT_ERA));
        u32::try_from(era).expect("below the current era")
    });
    metadata_builder::write(&file, &what)?;
    // Only what is on the disk can be dropped from the page cache.
    file.sync_all()?;
    let names = data.names().with("FILE", path);
    let work = Work::new("read the metadata of 32 million blocks", file.metadata()?.len(), &names)
        .command(DD_4M)
        .command("dd if=FILE bs=4K iflag=direct")
        .command("era changed --metadata FILE --since 500 --total");
    Ok(Entry::Work(work))
}
