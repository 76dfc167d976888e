// SPDX-License-Identifier: GPL-3.0-or-later
//! Asking a large device what changed: metadata of 33 million blocks (16 TiB in blocks of 512 KiB) and of 268 million
//! (16 TiB in blocks of 64 KiB), all of which must be read and checked. era_invalidate would take a minute and
//! gigabytes for one round of these; it takes part on a smaller device.

use std::fs::File;

use super::{DD_4M, ERA_CHANGED, Entry};
use crate::data::Data;
use crate::metadata_builder::{self, Description, Eras, Writeset};
use crate::random::Random;
use crate::work::Work;

const LARGE: u64 = (16 << 40) / (512 << 10);
const HUGE: u64 = (16 << 40) / (64 << 10);
const CURRENT_ERA: u32 = 1000;

/// The same as [`ERA_CHANGED`] in XML, as what it is compared with has no other.
const ERA_CHANGED_XML: &str = "era changed --metadata FILE --since 500 --format xml";
const ERA_INVALIDATE: &str = "era_invalidate --written-since 500 FILE";

pub fn small(data: &Data) -> anyhow::Result<Entry> {
    let work = make(data, "list what changed of 2 million blocks", 1 << 21, None)?;
    Ok(Entry::Work(work.command(ERA_CHANGED_XML).command(ERA_INVALIDATE)))
}

pub fn large(data: &Data) -> anyhow::Result<Entry> {
    Ok(Entry::Work(make(data, "read the metadata of 33 million blocks", LARGE, None)?))
}

pub fn huge(data: &Data) -> anyhow::Result<Entry> {
    Ok(Entry::Work(make(data, "read the metadata of 268 million blocks", HUGE, None)?))
}

/// What the nightly backup asks: an era that the kernel has not digested yet.
pub fn archived(data: &Data) -> anyhow::Result<Entry> {
    let title = "read the metadata of 33 million blocks, written since an archived era";
    Ok(Entry::Work(make(data, title, LARGE, Some(499))?))
}

fn make(data: &Data, title: &str, blocks: u64, archived: Option<u32>) -> anyhow::Result<Work> {
    let path = data.dir().join("metadata");
    let file = File::create(&path)?;
    let nr_blocks = u32::try_from(blocks)?;
    let mut what = Description::clean(nr_blocks, CURRENT_ERA);
    // Neighbours were written in unrelated eras: the worst case for a list of runs.
    let digested = archived.unwrap_or(CURRENT_ERA);
    what.live.eras = Eras::new(move |block| {
        let era = Random::new(block).below(digested.into());
        u32::try_from(era).expect("below the current era")
    });
    if let Some(oldest) = archived {
        for era in [oldest, CURRENT_ERA - 1] {
            let mut random = Random::new(era.into());
            let block = |_| u32::try_from(random.below(blocks)).expect("a block");
            what.live.archived.insert(era, Writeset::new(nr_blocks, (0..nr_blocks / 100).map(block)));
        }
    }
    metadata_builder::write(&file, &what)?;
    // Only what is on the disk can be dropped from the page cache.
    file.sync_all()?;
    let names = data.names().with("FILE", path);
    Ok(Work::new(title, file.metadata()?.len(), &names).command(DD_4M).command(ERA_CHANGED))
}
