// SPDX-License-Identifier: GPL-3.0-or-later
//! The data of the benchmark, the same on every machine but for the size.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context;
use era::blocklist;
use era::runs::BlockSet;
use tempfile::TempDir;

use crate::names::Names;
use crate::pipeline::Pipeline;
use crate::random::Random;

const MIB: u64 = 1 << 20;

/// Size of the data file: large enough that starting a program does not count.
const DATA_MIB: u64 = 512;

/// The temporary directory and the random data in it.
pub struct Data {
    dir: TempDir,
    mib: u64,
    names: Names,
}

impl Data {
    /// Makes the directory, below target/, and the data file; both go when this is dropped.
    pub fn make() -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix_in("side_by_side-", env!("CARGO_TARGET_TMPDIR"))
            .context("cannot make a temporary directory")?;
        let names = programs(dir.path())?.with("TMP", dir.path()).with("FILE", dir.path().join("random"));
        let mib = match std::env::var("BENCH_MIB") {
            Ok(text) => text.parse().context("BENCH_MIB")?,
            Err(_) => DATA_MIB,
        };
        let data = Self { dir, mib, names };
        data.file("random", mib, |piece, bytes| Random::new(piece).fill(bytes))?;
        Ok(data)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Size of the random data.
    pub fn bytes(&self) -> u64 {
        self.mib * MIB
    }

    /// FILE, the random data; TMP, the directory; and our programs.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Makes a file of so many MiB, each filled by a call of `fill` with its number.
    pub fn file(
        &self,
        name: &str,
        mib: u64,
        mut fill: impl FnMut(u64, &mut [u8]),
    ) -> anyhow::Result<PathBuf> {
        let path = self.dir().join(name);
        let mut file = File::create(&path)?;
        let mut bytes = vec![0; usize::try_from(MIB)?];
        for piece in 0..mib {
            fill(piece, &mut bytes);
            file.write_all(&bytes).with_context(|| format!("{}: cannot write", path.display()))?;
        }
        // Only what is on the disk can be dropped from the page cache.
        file.sync_all()?;
        Ok(path)
    }

    /// A directory for one work, which goes when it is dropped.
    pub fn directory(&self) -> anyhow::Result<TempDir> {
        TempDir::new_in(self.dir()).context("cannot make a temporary directory")
    }

    /// Does what must be done before anything is measured.
    pub fn prepare(&self, command: &str, names: &Names) -> anyhow::Result<()> {
        Pipeline::new(command, names, self.dir().join("complaints")).run().context("cannot prepare")?;
        Ok(())
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
