// SPDX-License-Identifier: GPL-3.0-or-later
//! Reading zeros. They come from a hole, so that the disk is out of it and finding and leaving out zeros shows.

use std::fs::File;

use super::{DD_4M, ERA_COPY, ERA_COPY_V2, Entry, with_list_of_all};
use crate::data::Data;
use crate::work::Work;

const BYTES: u64 = 1 << 30;

pub fn make(data: &Data) -> anyhow::Result<Entry> {
    let path = data.dir().join("zeros");
    File::create(&path)?.set_len(BYTES)?;
    let names = with_list_of_all(data, BYTES)?.with("FILE", path);
    let work = Work::new("read a hole", BYTES, &names)
        .command(DD_4M)
        .command("cat FILE")
        .command(ERA_COPY)
        .command(ERA_COPY_V2);
    Ok(Entry::Work(work))
}
