// SPDX-License-Identifier: GPL-3.0-or-later
//! The whole way: from a file to a new file, safe on the disk.

use super::{Entry, with_list_of_all};
use crate::data::Data;
use crate::work::Work;

/// Writes so many bytes, and waits until they are on the disk.
pub fn just_writing(bytes: u64) -> String {
    format!("dd if=/dev/zero bs=4M count={} of=OUT oflag=direct conv=fsync", bytes >> 22)
}

pub fn make(data: &Data) -> anyhow::Result<Entry> {
    let names = with_list_of_all(data, data.bytes())?;
    let work = Work::new("copy a file to a new file, fsync included", data.bytes(), &names)
        .command("dd if=FILE bs=4M iflag=direct | dd of=OUT bs=4M conv=fsync")
        // What the disk takes at best, from whoever writes: nothing is read, nothing goes through a pipe.
        .command(&just_writing(data.bytes()))
        .command("dd if=FILE bs=64K iflag=direct | dd of=OUT bs=64K conv=fsync")
        .command("cat FILE | cat > OUT ; sync OUT")
        .command("era_copy 1024 FILE < LIST | era_apply OUT")
        .command("era_copy --format 2 1024 FILE < LIST | era_apply OUT")
        .command("classic/era_copy 1024 FILE < LIST | classic/era_apply OUT");
    Ok(Entry::Work(work))
}
