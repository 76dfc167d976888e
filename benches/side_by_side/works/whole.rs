// SPDX-License-Identifier: GPL-3.0-or-later
//! Reading all of a file or device: what a full copy costs at the sending end.

use super::{CLASSIC_COPY, DD_4M, DD_64K, ERA_COPY, ERA_COPY_V2, Entry, with_list_of_all};
use crate::data::Data;
use crate::loop_device::LoopDevice;
use crate::work::Work;

const BLOCK_DEVICE: &str = "read a block device (a loop device on that file)";

pub fn file(data: &Data) -> anyhow::Result<Entry> {
    let names = with_list_of_all(data, data.bytes())?;
    Ok(Entry::Work(readers(Work::new("read a file", data.bytes(), &names))))
}

pub fn block_device(data: &Data) -> anyhow::Result<Entry> {
    let names = with_list_of_all(data, data.bytes())?;
    let file = names.path("FILE").expect("the data file");
    match LoopDevice::attach(file) {
        Ok(device) => {
            let names = names.with("FILE", device.path());
            Ok(Entry::Work(readers(Work::new(BLOCK_DEVICE, data.bytes(), &names)).holding(device)))
        }
        Err(e) => Ok(Entry::LeftOut { title: BLOCK_DEVICE, why: format!("no loop device: {e:#}") }),
    }
}

pub fn pipe(data: &Data) -> anyhow::Result<Entry> {
    let names = with_list_of_all(data, data.bytes())?;
    let work = Work::new("read a file into a pipe", data.bytes(), &names)
        .command("dd if=FILE bs=4M iflag=direct | cat")
        .command("era_copy 1024 FILE < LIST | cat")
        .command("era_copy --format 2 1024 FILE < LIST | cat")
        .command("classic/era_copy 1024 FILE < LIST | cat");
    Ok(Entry::Work(work))
}

fn readers(work: Work) -> Work {
    work.command(DD_4M)
        .command(DD_64K)
        .command("cat FILE")
        .command(ERA_COPY)
        .command(ERA_COPY_V2)
        .command(CLASSIC_COPY)
}
