// SPDX-License-Identifier: GPL-3.0-or-later
//! Opening a repository, or making one.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use bytesize::ByteSize;
use rustic_core::repofile::{Chunker, SnapshotFile};
use rustic_core::{
    ConfigOptions, Credentials, FileType, IndexedFullStatus, IndexedIdsStatus, KeyOptions, OpenStatus,
    Repository, RepositoryBackends, RepositoryOptions, RusticResult,
};

use super::failure::{failure, listen};
use super::gate::Gate;
use super::make::{Made, check_vacant, has_no_config};
use super::mark::Mark;
use super::password;
use super::patience::Patience;
use super::url::Url;
use super::witness::Witness;

/// Bytes of a chunk in repositories that are made here: half a segment. Where a block changes, that is what is uploaded.
const CHUNK_BYTES: u64 = 512 << 10;

/// The level of zstd, as between machines.
const COMPRESSION: i32 = 1;

/// Bytes of a pack in repositories that are made here, at most. rustic's grow with the repository, and some five are in memory.
const PACK_BYTES: u64 = 64 << 20;

/// A repository whose password was right.
pub struct Opened {
    /// How messages call it.
    pub name: String,
    /// The repository.
    pub repository: Repository<OpenStatus>,
    /// What it writes through.
    pub gate: Arc<Gate>,
    /// What was seen of it.
    pub witness: Arc<Witness>,
    /// Where this run has made it.
    pub made: Option<Made>,
    /// The way to open it once more.
    pub again: Again,
}

/// A repository that can be opened once more, without asking for the password.
pub struct Again {
    closed: Repository<()>,
    credentials: Credentials,
    witness: Arc<Witness>,
}

impl Again {
    fn new(closed: Repository<()>, repository: &Repository<OpenStatus>, witness: Arc<Witness>) -> Self {
        Self { closed, credentials: Credentials::Masterkey(repository.key()), witness }
    }

    /// Reads the index of a repository; that takes the repository, so that it is opened anew where index files go meanwhile.
    pub fn index<T>(
        &self,
        repository: Repository<OpenStatus>,
        index: impl Fn(Repository<OpenStatus>) -> RusticResult<T>,
    ) -> anyhow::Result<T> {
        let mut first = Some(repository);
        self.witness.steadily(FileType::Index, || match first.take() {
            Some(repository) => index(repository),
            None => index(self.closed.clone().open(&self.credentials)?),
        })
    }
}

/// A repository of which the trees, and the names of all else, are in memory: for adding to it.
pub type Writable = Repository<IndexedIdsStatus>;

/// A repository of which it is in memory where everything is: for reading.
pub type Readable = Repository<IndexedFullStatus>;

/// Opens a repository; nothing is returned where there is none.
pub fn open_if_any(url: &Url) -> anyhow::Result<Option<Opened>> {
    open_with(url, password::from_environment)
}

/// The same with a password that is asked for when there is a repository.
pub fn open_with(
    url: &Url,
    password: impl FnOnce() -> anyhow::Result<Credentials>,
) -> anyhow::Result<Option<Opened>> {
    let (closed, gate, witness) = reach(url)?;
    if closed.config_id().map_err(failure).with_context(|| url.to_string())?.is_none() {
        check_vacant(url, &gate)?;
        return Ok(None);
    }
    let credentials = password().with_context(|| url.to_string())?;
    let repository = closed.clone().open(&credentials).map_err(failure).with_context(|| url.to_string())?;
    let again = Again::new(closed, &repository, witness.clone());
    Ok(Some(Opened { name: url.to_string(), repository, gate, witness, made: None, again }))
}

/// Opens a repository.
pub fn open(url: &Url) -> anyhow::Result<Opened> {
    match open_if_any(url)? {
        Some(opened) => Ok(opened),
        None => bail!("{url}: there is no repository; era backup --init makes one, or restic init"),
    }
}

/// Opens a repository, and makes one where there is none. Returns whether it was made.
pub fn open_or_make(url: &Url) -> anyhow::Result<(Opened, bool)> {
    if let Some(opened) = open_if_any(url)? {
        return Ok((opened, false));
    }
    let (closed, gate, witness) = reach(url)?;
    let credentials = password::from_environment().with_context(|| url.to_string())?;
    witness.make();
    let options = ConfigOptions::default()
        .set_chunker(Chunker::FixedSize)
        .set_chunk_size(ByteSize(CHUNK_BYTES))
        .set_compression(COMPRESSION)
        .set_datapack_size_limit(ByteSize(PACK_BYTES))
        .set_treepack_size_limit(ByteSize(PACK_BYTES));
    let repository = closed
        .clone()
        .init(&credentials, &KeyOptions::default(), &options)
        .map_err(|e| {
            // A key without a config, or beside another machine's, is in the way of everybody. Without its key, a config is.
            if !witness.may_have_config() || has_no_config(url, &gate) {
                witness.remove_own_key();
            }
            failure(e)
        })
        .with_context(|| format!("{url}: cannot make a repository"))?;
    let again = Again::new(closed, &repository, witness.clone());
    let mut opened = Opened { name: url.to_string(), repository, gate, witness, made: None, again };
    let made = Made::new(url, &opened);
    made.check()?;
    opened.made = Some(made);
    Ok((opened, true))
}

/// The way to a repository that may not be there.
pub(super) fn reach(url: &Url) -> anyhow::Result<(Repository<()>, Arc<Gate>, Arc<Witness>)> {
    listen();
    let patience = Arc::new(Patience::new(url.to_string())?);
    let options = url.backend();
    let backends = patience.ask_who_stays(move || options.to_backends()).map_err(failure)?;
    let witness = Witness::new(backends.repository(), patience.clone());
    let gate = Gate::new(witness.clone(), patience);
    let backends = RepositoryBackends::new(gate.clone(), None);
    let mut options = RepositoryOptions::default();
    match cache_directory() {
        Some(directory) if url.directory().is_none() => options.cache_dir = Some(directory),
        _ => options.no_cache = true,
    }
    let closed = Repository::new(&options, &backends).map_err(failure).with_context(|| url.to_string())?;
    Ok((closed, gate, witness))
}

/// Where trees and the index are kept, so that they need not be fetched each time. A service has no home, but mostly root's rights.
fn cache_directory() -> Option<PathBuf> {
    let home =
        || Some(PathBuf::from(std::env::var_os("HOME").filter(|home| !home.is_empty())?).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let base = base.or_else(home).or_else(|| Some("/var/cache".into()))?;
    Some(base.join("era").join("restic"))
}

/// A snapshot of a tracked device.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// All that the repository has of it.
    pub file: SnapshotFile,
    /// What its tags say.
    pub mark: Mark,
}

impl Opened {
    /// All snapshots, whoever made them.
    pub fn all_snapshots(&self) -> anyhow::Result<Vec<SnapshotFile>> {
        let read = || self.repository.get_all_snapshots();
        self.witness.steadily(FileType::Snapshot, read).with_context(|| self.name.clone())
    }

    /// To read from it.
    pub fn index(self) -> anyhow::Result<Readable> {
        self.again.index(self.repository, |repository| repository.to_indexed()).context(self.name)
    }
}

/// All snapshots of tracked devices, oldest first. Others in the same repository are not told of.
pub fn snapshots<S: rustic_core::Open>(
    repository: &Repository<S>,
    witness: &Witness,
) -> anyhow::Result<Vec<Snapshot>> {
    let all = witness.steadily(FileType::Snapshot, || repository.get_all_snapshots())?;
    let mut ours: Vec<_> = all
        .into_iter()
        .filter_map(|file| {
            let mark = Mark::of(file.tags.iter().map(String::as_str))?;
            Some(Snapshot { file, mark })
        })
        .collect();
    ours.sort_by(|a, b| a.file.time.cmp(&b.file.time));
    Ok(ours)
}
