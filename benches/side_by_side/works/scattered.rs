// SPDX-License-Identifier: GPL-3.0-or-later
//! Reading some blocks here and there: what an increment costs at the sending end.

use era::copy::extents;
use era::units::BlockSize;

use super::{Entry, choose};
use crate::data::Data;
use crate::scattered;
use crate::work::Work;

pub fn large_blocks(data: &Data) -> anyhow::Result<Entry> {
    make(data, "read 10 % of a file in random blocks of 512 KiB", 10, 1024)
}

pub fn small_blocks(data: &Data) -> anyhow::Result<Entry> {
    make(data, "read 5 % of a file in random blocks of 4 KiB", 5, 8)
}

fn make(data: &Data, title: &str, percent: u64, sectors: u32) -> anyhow::Result<Entry> {
    let block_size = BlockSize::from_sectors(sectors)?;
    let blocks = choose(data.bytes() / block_size.bytes(), percent);
    let list = data.list("some-blocks", &blocks)?;
    let extents: Vec<_> = extents(&blocks, block_size, data.bytes()).collect();
    let bytes = extents.iter().map(|extent| extent.len).sum();

    let names = data.names().with("LIST", list);
    let file = names.path("FILE").expect("the data file").to_owned();
    let mut work = Work::new(title, bytes, &names);
    for at_a_time in [1, 8, 32] {
        let label = &format!("pread() of each run, {at_a_time} at a time");
        let (file, extents) = (file.clone(), extents.clone());
        work = work.function(label, move || scattered::read(&file, &extents, at_a_time));
    }
    Ok(Entry::Work(
        work.command(&format!("era_copy {sectors} FILE < LIST"))
            .command(&format!("era_copy --format 2 {sectors} FILE < LIST"))
            .command(&format!("classic/era_copy {sectors} FILE < LIST")),
    ))
}
