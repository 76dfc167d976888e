// SPDX-License-Identifier: GPL-3.0-or-later
//! Opening a repository: its locks, and what an interrupted run has left.
//!
//! Two locks, both advisory and gone with the process that holds them, so that none is ever stale. `lock`: whoever
//! changes the repository. `lock.readers`: shared by whoever reads points, exclusive for whoever takes some away.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::file::{self, RepoFile};
use super::hashes::Hashes;
use super::layout;
use super::manifest::Manifest;
use super::reserve;
use super::undo::{index_of, roll_back};
use crate::device::lock::{InUse, lock, lock_shared, try_lock};
use crate::report;

/// What a repository is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read points while another process may add one.
    Read,
    /// To add a point, or to mend what is there.
    Write,
    /// To take points away: nobody may read them.
    Prune,
}

/// An open repository.
#[derive(Debug)]
pub struct Repository {
    /// Its directory.
    pub path: PathBuf,
    /// What it was opened for.
    pub access: Access,
    _locks: Vec<File>,
}

impl Repository {
    /// Whether there is a repository.
    pub fn exists(path: &Path) -> bool {
        layout::manifest(path).exists()
    }

    /// Opens a repository. One that is changed is brought to its last point first, if a run was interrupted.
    pub fn open(path: &Path, access: Access) -> anyhow::Result<Self> {
        if !layout::manifest(path).exists() {
            bail!("{}: there is no repository; era backup and era receive make one", path.display());
        }
        Self::lock(path, access)
    }

    /// Opens a repository to take points away, if nobody uses it: does not wait for those who do, but says who it is.
    pub fn open_unused(path: &Path) -> anyhow::Result<Result<Self, InUse>> {
        let mut locks = Vec::new();
        for path in [layout::lock(path), layout::readers_lock(path)] {
            let file = open_lock(&path)?;
            if let Err(in_use) = try_lock(&file, &path)? {
                return Ok(Err(in_use));
            }
            locks.push(file);
        }
        Self::with(path, Access::Prune, locks).map(Ok)
    }

    /// Opens a repository to add a point; makes it in a directory that is not there, or empty.
    pub fn open_or_create(path: &Path) -> anyhow::Result<Self> {
        if !layout::manifest(path).exists() {
            refuse_used(path)?;
            file::make_dir(path)?;
        }
        Self::lock(path, Access::Write)
    }

    fn lock(path: &Path, access: Access) -> anyhow::Result<Self> {
        let (work, readers) = (layout::lock(path), layout::readers_lock(path));
        let locks = match access {
            Access::Read => {
                let file = open_lock(&readers)?;
                lock_shared(&file, &readers)?;
                vec![file]
            }
            Access::Write => {
                let file = open_lock(&work)?;
                lock(&file, &work)?;
                vec![file]
            }
            Access::Prune => lock_both(&work, &readers)?,
        };
        Self::with(path, access, locks)
    }

    fn with(path: &Path, access: Access, locks: Vec<File>) -> anyhow::Result<Self> {
        let repository = Self { path: path.to_owned(), access, _locks: locks };
        if access != Access::Read {
            repository.recover()?;
        }
        Ok(repository)
    }

    /// What it holds; `None` where nothing has been received yet.
    pub fn manifest(&self) -> anyhow::Result<Option<Manifest>> {
        Manifest::read(&self.path)
    }

    /// What it holds, where it is an error that it is none.
    pub fn known(&self) -> anyhow::Result<Manifest> {
        self.manifest()?.with_context(|| format!("{}: there is no repository", self.path.display()))
    }

    /// Undoes what an interrupted run has done, and removes what it has left.
    pub(super) fn recover(&self) -> anyhow::Result<()> {
        let Some(manifest) = self.manifest()? else { return Ok(()) };
        let directory = layout::undo_directory(&self.path);
        let ids: Vec<u64> = manifest.points.iter().map(|point| point.id).collect();
        let kept: HashSet<PathBuf> = ids
            .windows(2)
            .map(|pair| layout::undo(&self.path, pair[0], pair[1]))
            .flat_map(|stream| [index_of(&stream), stream])
            .collect();
        let mut left: Vec<PathBuf> = match fs::read_dir(&directory) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            entries => entries
                .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
                .with_context(|| directory.display().to_string())?,
        };
        left.retain(|path| !kept.contains(path));
        if let Some(last) = ids.last() {
            let journal = layout::undo(&self.path, *last, manifest.next_id);
            if left.contains(&journal) {
                report::note(format_args!(
                    "{}: an interrupted run is undone; it is at point {last} again",
                    self.path.display()
                ));
                let image = RepoFile::open_there(&layout::image(&self.path))?;
                let hashes = Hashes::open_there(&layout::hashes(&self.path))?;
                roll_back(&journal, manifest.geometry()?, &image, &hashes)
                    // Whoever reads meanwhile may have read what was undone: a manifest that is another file tells.
                    .and_then(|()| manifest.write(&self.path))
                    .map_err(|e| match reserve::is_full(&e) {
                        true => e.context(
                            "an interrupted run cannot be undone before there is more room on this disk",
                        ),
                        false => e,
                    })?;
                // It goes last: as long as it is there, all this is done again.
                left.retain(|path| *path != journal);
                left.push(journal);
            }
        }
        for path in &left {
            file::remove(path)?;
        }
        if !left.is_empty() {
            file::sync_dir(&directory)?;
        }
        file::remove(&layout::new_manifest(&self.path))
    }
}

/// Takes both locks, and holds neither while it waits for the other. A mount may be there for days, and no backup is to wait
/// for that; and the reader may be the list of a backup whose receiver, which comes after it, needs the other lock.
fn lock_both(work: &Path, readers: &Path) -> anyhow::Result<Vec<File>> {
    let (mut first, mut second) = (work, readers);
    loop {
        let (file, other) = (open_lock(first)?, open_lock(second)?);
        lock(&file, first)?;
        if try_lock(&other, second)?.is_ok() {
            return Ok(vec![file, other]);
        }
        // The next time, the one that is taken is waited for.
        (first, second) = (second, first);
    }
}

/// A lock file. Readers may have no right to write to it.
fn open_lock(path: &Path) -> anyhow::Result<File> {
    let open = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    open.or_else(|_| File::open(path)).with_context(|| format!("{}: cannot open", path.display()))
}

fn refuse_used(path: &Path) -> anyhow::Result<()> {
    let name = || path.display().to_string();
    let mut entries = match fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(name)?,
    };
    // What an interrupted first run may have left before its manifest.
    let own = [layout::lock(path), layout::new_manifest(path)];
    match entries.find(|entry| !entry.as_ref().is_ok_and(|entry| own.contains(&entry.path()))) {
        None => Ok(()),
        Some(_) => bail!("{}: is neither a repository nor empty; choose another directory", name()),
    }
}
