// SPDX-License-Identifier: GPL-3.0-or-later
//! Reading and compressing data that halve: every second 2 KiB are random, those between always the same.

use super::{Entry, with_list_of_all};
use crate::data::Data;
use crate::random::Random;
use crate::work::Work;

/// Little, as the slowest compressor takes seconds for it, and the disk has little part in it.
const MIB: u64 = 96;

const HALF: usize = 2048;

pub fn make(data: &Data) -> anyhow::Result<Entry> {
    let path = data.file("half-compressible", MIB, |piece, bytes| {
        let mut random = Random::new(piece);
        for half in bytes.chunks_mut(2 * HALF) {
            half.fill(b'e');
            random.fill(&mut half[..HALF]);
        }
    })?;
    let names = with_list_of_all(data, MIB << 20)?.with("FILE", path);
    let work = Work::new("read and compress data that halve", MIB << 20, &names)
        .command("dd if=FILE bs=4M iflag=direct | zstd -1")
        .command("dd if=FILE bs=4M iflag=direct | gzip -1")
        .command("era_copy --format 2 --compress 1 1024 FILE < LIST");
    Ok(Entry::Work(work))
}
