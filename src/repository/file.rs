// SPDX-License-Identifier: GPL-3.0-or-later
//! The files of a repository. Every change of them, and every promise that a change is durable, is one step here, and a
//! test can end the process at each.
//!
//! Everything goes through the page cache: a repository reads what it has just written.

use std::fs;
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::blockio::{Destination, ReadAt, WriteAt, read_exact, write_full};
use crate::units::Extent;

/// An open file, or the block device that the image is on.
#[derive(Debug)]
pub struct RepoFile {
    path: PathBuf,
    destination: Destination,
}

impl RepoFile {
    /// Opens a file to read and write, and makes it where it is missing.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if !path.exists() {
            step();
        }
        Self::with(path, Destination::open_both)
    }

    /// Opens a file that must be there to read and write.
    pub fn open_there(path: &Path) -> anyhow::Result<Self> {
        if !path.try_exists().with_context(|| path.display().to_string())? {
            bail!(
                "{}: is not there, or leads nowhere: a part of the repository is missing; put it back",
                path.display()
            );
        }
        Self::open(path)
    }

    /// Opens a file to read.
    pub fn open_to_read(path: &Path) -> anyhow::Result<Self> {
        Self::with(path, Destination::open_to_read)
    }

    /// An empty file in the place of one that may be there.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = Self::open(path)?;
        file.set_len(0)?;
        Ok(file)
    }

    fn with(path: &Path, open: impl FnOnce(&Path) -> io::Result<Destination>) -> anyhow::Result<Self> {
        let destination = open(path).with_context(|| format!("{}: cannot open", path.display()))?;
        Ok(Self { path: path.to_owned(), destination })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long it is now.
    pub fn len(&self) -> anyhow::Result<u64> {
        self.destination.size_now().with_context(|| self.path.display().to_string())
    }

    /// Whether it has no name any more.
    pub fn is_removed(&self) -> anyhow::Result<bool> {
        let stat = rustix::fs::fstat(&self.destination).with_context(|| self.path.display().to_string())?;
        Ok(stat.st_nlink == 0)
    }

    /// Whether it can be made longer, as a file can and a block device cannot.
    pub fn can_grow(&self) -> bool {
        self.destination.can_grow()
    }

    /// Fills a buffer.
    pub fn read(&self, buf: &mut [u8], offset: u64) -> anyhow::Result<()> {
        read_exact(&self.destination, buf, offset).with_context(|| self.path.display().to_string())
    }

    /// A range will be read soon: the disk may begin with it.
    pub fn will_read(&self, extent: Extent) {
        // Only a hint.
        let _ = rustix::fs::fadvise(
            &self.destination,
            extent.offset,
            NonZeroU64::new(extent.len),
            rustix::fs::Advice::WillNeed,
        );
    }

    /// Writes all of a buffer.
    pub fn write(&self, bytes: &[u8], offset: u64) -> anyhow::Result<()> {
        if is_last_step() {
            // Torn: what power loss, and a kill in the middle, may leave.
            let _ = write_full(&self.destination, &bytes[..bytes.len() / 2], offset);
        }
        step();
        write_full(&self.destination, bytes, offset).with_context(|| {
            format!("{}: cannot write {} bytes at {offset}", self.path.display(), bytes.len())
        })
    }

    /// Makes a range read as zeros, giving its space back where possible.
    pub fn zero(&self, extent: Extent) -> anyhow::Result<()> {
        step();
        self.destination.zero(extent).with_context(|| {
            format!("{}: cannot zero {} bytes at {}", self.path.display(), extent.len, extent.offset)
        })
    }

    /// Makes a range read as zeros, and keeps its space.
    pub fn zero_in_place(&self, extent: Extent) -> anyhow::Result<()> {
        step();
        self.destination.zero_in_place(extent).with_context(|| {
            format!("{}: cannot zero {} bytes at {}", self.path.display(), extent.len, extent.offset)
        })
    }

    /// Makes it longer, with zeros, or shorter.
    pub fn set_len(&self, len: u64) -> anyhow::Result<()> {
        if self.len()? == len {
            return Ok(());
        }
        step();
        self.destination
            .grow(len)
            .with_context(|| format!("{}: cannot make it {len} bytes long", self.path.display()))
    }

    /// Where data come next from an offset on; what is before that is a hole, which reads as zeros.
    pub fn next_data(&self, offset: u64) -> anyhow::Result<Option<u64>> {
        self.destination.next_data(offset).with_context(|| self.path.display().to_string())
    }

    /// Returns when everything written is on stable storage.
    pub fn sync(&self) -> anyhow::Result<()> {
        step();
        self.destination
            .sync()
            .with_context(|| format!("{}: cannot make the data durable", self.path.display()))
    }
}

impl ReadAt for RepoFile {
    fn size(&self) -> u64 {
        ReadAt::size(&self.destination)
    }

    fn align(&self) -> usize {
        self.destination.align()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.destination.read_at(buf, offset)
    }
}

/// Makes a directory, if it is not there, and those that it is in; durably.
pub fn make_dir(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), make_dir)?;
    step();
    fs::create_dir(path).with_context(|| format!("{}: cannot make the directory", path.display()))?;
    sync_dir(parent.unwrap_or(Path::new(".")))
}

/// Gives a file another name, in place of what has that name.
pub fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    step();
    fs::rename(from, to).with_context(|| format!("{}: cannot rename it to {}", from.display(), to.display()))
}

/// Removes a file, if it is there.
pub fn remove(path: &Path) -> anyhow::Result<()> {
    step();
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("{}: cannot remove", path.display()))
        }
        _ => Ok(()),
    }
}

/// Returns when the names in a directory are on stable storage.
pub fn sync_dir(path: &Path) -> anyhow::Result<()> {
    step();
    fs::File::open(path)
        .and_then(|dir| dir.sync_all())
        .with_context(|| format!("{}: cannot make the directory durable", path.display()))
}

/// In builds with debug assertions `ERA_CRASH_AT=N` kills the process at the Nth change, before it is made.
#[cfg(debug_assertions)]
mod crash {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static LEFT: OnceLock<AtomicU64> = OnceLock::new();

    fn left() -> &'static AtomicU64 {
        LEFT.get_or_init(|| {
            let at = std::env::var("ERA_CRASH_AT").ok().and_then(|at| at.parse().ok());
            at.unwrap_or(u64::MAX).into()
        })
    }

    pub fn is_last_step() -> bool {
        left().load(Ordering::Relaxed) == 1
    }

    pub fn step() {
        if left().fetch_sub(1, Ordering::Relaxed) == 1 {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}

#[cfg(not(debug_assertions))]
mod crash {
    pub fn is_last_step() -> bool {
        false
    }

    pub fn step() {}
}

use crash::{is_last_step, step};
