// SPDX-License-Identifier: GPL-3.0-or-later
//! The data of the benchmark, the same on every machine but for the size.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use era::blocklist;
use era::runs::BlockSet;
use tempfile::TempDir;

use crate::names::Names;
use crate::pipeline::Pipeline;
use crate::random::Random;
use crate::table::mib;
use crate::{cache, work};

const MIB: u64 = 1 << 20;

/// The largest data file, and what it is halved down to on a slow disk.
const SIZES_MIB: [u64; 3] = [1024, 512, 256];

/// All works together read and write the data file about so many times a round.
const PASSES_A_ROUND: f64 = 26.0;

/// What they may take, which leaves something of the five minutes for what does not grow with the file.
const SECONDS: f64 = 200.0;

/// The temporary directory and the random data in it.
pub struct Data {
    dir: TempDir,
    bytes: u64,
    names: Names,
}

impl Data {
    /// Makes the directory, below target/, and the data file; both go when this is dropped.
    pub fn make() -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix_in("side_by_side-", env!("CARGO_TARGET_TMPDIR"))
            .context("cannot make a temporary directory")?;
        let file = dir.path().join("random");
        let names = programs(dir.path())?.with("TMP", dir.path()).with("FILE", &file);
        let bytes = match std::env::var("BENCH_MIB") {
            Ok(text) => text.parse::<u64>().context("BENCH_MIB")? * MIB,
            Err(_) => {
                let least = SIZES_MIB[SIZES_MIB.len() - 1] * MIB;
                write_random(&file, 0..least / MIB)?;
                fitting_size(&names, least)?
            }
        };
        let have = file.metadata().map_or(0, |metadata| metadata.len());
        write_random(&file, have / MIB..bytes / MIB)?;
        Ok(Self { dir, bytes, names })
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Size of the random data.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// FILE, the random data; TMP, the directory; and our programs.
    pub fn names(&self) -> &Names {
        &self.names
    }

    pub fn describe(&self) -> String {
        format!("{} MiB of random bytes, if nothing else is said", mib(self.bytes))
    }

    /// Makes another file of so many MiB, each filled by a call of `fill` with its number.
    pub fn file(&self, name: &str, mib: u64, fill: impl FnMut(u64, &mut [u8])) -> anyhow::Result<PathBuf> {
        let path = self.dir().join(name);
        write_pieces(&path, 0..mib, fill)?;
        Ok(path)
    }

    /// Writes a block list.
    pub fn list(&self, name: &str, blocks: &BlockSet) -> anyhow::Result<PathBuf> {
        let path = self.dir().join(name);
        blocklist::write(BufWriter::new(File::create(&path)?), blocks.runs())?;
        Ok(path)
    }
}

/// The programs under the names that decide what they do.
fn programs(dir: &Path) -> anyhow::Result<Names> {
    let era = env!("CARGO_BIN_EXE_era");
    let mut names = Names::default().with("era", era);
    for name in ["era_copy", "era_apply"] {
        let link = dir.join(name);
        symlink(era, &link)?;
        names = names.with(name, link);
    }
    if let Some(classic) = std::env::var_os("CLASSIC").map(PathBuf::from) {
        let path = |name| fs::canonicalize(classic.join(name)).with_context(|| format!("CLASSIC: {name}"));
        names = names.with("classic/era_copy", path("era_copy")?);
        names = names.with("classic/era_apply", path("era_apply")?);
    }
    Ok(names)
}

/// The largest size with which all works stay within the time, by the speed of a plain read.
fn fitting_size(names: &Names, probe_bytes: u64) -> anyhow::Result<u64> {
    let path = names.path("FILE").expect("just named");
    cache::evict(path)?;
    let complaints = path.with_file_name("complaints");
    let begin = Instant::now();
    Pipeline::new("dd if=FILE bs=4M iflag=direct", names, complaints).run()?;
    let mib_a_second = mib(probe_bytes) / begin.elapsed().as_secs_f64();
    let seconds = |mib: u64| mib as f64 * PASSES_A_ROUND * (work::ROUNDS + 1) as f64 / mib_a_second;
    let fits = SIZES_MIB.into_iter().find(|size| seconds(*size) <= SECONDS);
    Ok(fits.map_or(probe_bytes, |size| size * MIB))
}

/// Each piece is random from a seed of its own, so that a file can be continued.
fn write_random(path: &Path, pieces: Range<u64>) -> anyhow::Result<()> {
    write_pieces(path, pieces, |piece, bytes| Random::new(piece).fill(bytes))
}

fn write_pieces(path: &Path, pieces: Range<u64>, mut fill: impl FnMut(u64, &mut [u8])) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.seek(SeekFrom::Start(pieces.start * MIB))?;
    let mut bytes = vec![0; 1 << 20];
    for piece in pieces {
        fill(piece, &mut bytes);
        file.write_all(&bytes).with_context(|| format!("{}: cannot write", path.display()))?;
    }
    // Only what is on the disk can be dropped from the page cache.
    file.sync_all()?;
    Ok(())
}
