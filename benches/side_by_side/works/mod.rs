// SPDX-License-Identifier: GPL-3.0-or-later
//! The works, in the order of the table.

mod compressed;
mod disk_to_disk;
mod metadata;
mod scattered;
mod whole;
mod zeros;

use era::runs::{BlockSet, Run};

use crate::data::Data;
use crate::names::Names;
use crate::work::Work;

/// Reads the whole device in blocks of 512 KiB and writes version 1.
pub const ERA_COPY: &str = "era_copy 1024 FILE < LIST";
pub const DD_64K: &str = "dd if=FILE bs=64K iflag=direct";
const DD_4M: &str = "dd if=FILE bs=4M iflag=direct";
const ERA_COPY_V2: &str = "era_copy --format 2 1024 FILE < LIST";
const CLASSIC_COPY: &str = "classic/era_copy 1024 FILE < LIST";

/// The block size of those commands.
const BLOCK_BYTES: u64 = 1024 * 512;

/// Something to do, or why it cannot be done here.
pub enum Entry {
    Work(Work),
    LeftOut { title: &'static str, why: String },
}

/// Makes a work, with its data, when its turn comes.
type Make = fn(&Data) -> anyhow::Result<Entry>;

/// Each with the word that chooses it.
pub const ALL: [(&str, Make); 12] = [
    ("file", whole::file),
    ("block-device", whole::block_device),
    ("pipe", whole::pipe),
    ("large-blocks", scattered::large_blocks),
    ("small-blocks", scattered::small_blocks),
    ("disk-to-disk", disk_to_disk::make),
    ("zeros", zeros::make),
    ("compressed", compressed::make),
    ("metadata-small", metadata::small),
    ("metadata", metadata::large),
    ("metadata-archived", metadata::archived),
    ("metadata-huge", metadata::huge),
];

/// LIST, of all blocks of so many bytes.
fn with_list_of_all(data: &Data, bytes: u64) -> anyhow::Result<Names> {
    let end = bytes / BLOCK_BYTES;
    let mut blocks = BlockSet::new(end);
    blocks.insert(Run { begin: 0, end });
    Ok(data.names().with("LIST", data.list("all-blocks", &blocks)?))
}
