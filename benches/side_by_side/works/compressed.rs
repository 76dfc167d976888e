// SPDX-License-Identifier: GPL-3.0-or-later
//! Data that halve: every second 2 KiB are random, those between always the same. And data that do not get smaller at all.

use super::disk_to_disk::just_writing;
use super::{Entry, with_list_of_all};
use crate::data::Data;
use crate::names::Names;
use crate::random::Random;
use crate::work::Work;

/// Little, as the slowest compressor takes seconds for it, and the disk has little part in it.
const MIB: u64 = 96;

const HALF: usize = 2048;

pub const CLASSIC_GZIP: &str = "classic/era_copy 1024 FILE < LIST | gzip | gzip -d | classic/era_apply OUT";
pub const PLAIN: &str = "era_copy --format 2 1024 FILE < LIST | era_apply OUT";
pub const COMPRESSED: &str = "era_copy --format 2 --compress 1 1024 FILE < LIST | era_apply OUT";

pub fn make(data: &Data) -> anyhow::Result<Entry> {
    let work = Work::new("read and compress data that halve", MIB << 20, &halving(data)?)
        .command("dd if=FILE bs=4M iflag=direct | zstd -1")
        .command("dd if=FILE bs=4M iflag=direct | gzip -1")
        .command("era_copy --format 2 --compress 1 1024 FILE < LIST");
    Ok(Entry::Work(work))
}

/// As it goes through a slow network.
pub fn piped(data: &Data) -> anyhow::Result<Entry> {
    let work =
        Work::new("copy data that halve, compressed between, to a new file", MIB << 20, &halving(data)?)
            .command("dd if=FILE bs=4M iflag=direct | gzip | gzip -d | dd of=OUT bs=4M conv=fsync")
            .command("dd if=FILE bs=4M iflag=direct | dd of=OUT bs=4M conv=fsync")
            .command(&just_writing(MIB << 20))
            .command(CLASSIC_GZIP)
            .command(COMPRESSED);
    Ok(Entry::Work(work))
}

pub fn in_vain(data: &Data) -> anyhow::Result<Entry> {
    let names = with_list_of_all(data, data.bytes())?;
    let work = Work::new("copy random data to a new file, compressing in vain", data.bytes(), &names);
    Ok(Entry::Work(work.command(PLAIN).command(COMPRESSED)))
}

fn halving(data: &Data) -> anyhow::Result<Names> {
    let path = data.file("half-compressible", MIB, |piece, bytes| {
        let mut random = Random::new(piece);
        for half in bytes.chunks_mut(2 * HALF) {
            half.fill(b'e');
            random.fill(&mut half[..HALF]);
        }
    })?;
    Ok(with_list_of_all(data, MIB << 20)?.with("FILE", path))
}
