// SPDX-License-Identifier: GPL-3.0-or-later
//! What others do to the storage meanwhile.
//!
//! There are no locks in a repository: other machines add to it, prune it, or make it at the same time. What was listed once is
//! remembered here, so that it is seen what has gone since; and where a repository is made, its config is written only where no other
//! key than our own is there.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};

use super::failure::{failure, text};
use super::listing::whole_list;
use super::patience::Patience;
use crate::report;

/// How often something is read where a file goes between the listing and the reading.
const ATTEMPTS: u32 = 5;

/// A storage, and what was seen of it.
#[derive(Debug)]
pub struct Witness {
    storage: Arc<dyn WriteBackend>,
    patience: Arc<Patience>,
    indexes: Mutex<BTreeSet<Id>>,
    snapshots: Mutex<BTreeSet<Id>>,
    /// Whether a repository is being made.
    making: AtomicBool,
    /// The key that was written last.
    key: Mutex<Option<Id>>,
    /// Whether a config was handed over that only this key opens: it may be there even if the storage says that it failed.
    config_handed_over: AtomicBool,
}

impl Witness {
    /// Of which nothing was seen yet.
    pub fn new(storage: Arc<dyn WriteBackend>, patience: Arc<Patience>) -> Arc<Self> {
        Arc::new(Self {
            storage,
            patience,
            indexes: Mutex::default(),
            snapshots: Mutex::default(),
            making: AtomicBool::new(false),
            key: Mutex::default(),
            config_handed_over: AtomicBool::new(false),
        })
    }

    /// Whether any file of a kind was listed, or written, since the repository was opened, and is not there any more.
    pub fn has_lost(&self, tpe: FileType) -> anyhow::Result<bool> {
        let Some(seen) = self.seen(tpe) else { return Ok(false) };
        let seen = lock(seen).clone();
        let storage = self.storage.clone();
        let now = self.patience.ask(move || whole_list(tpe, || storage.list(tpe))).map_err(failure)?;
        let now: BTreeSet<_> = now.into_iter().collect();
        Ok(!seen.is_subset(&now))
    }

    /// Reads all files of a kind, anew where one that was listed has gone before it was read, as somebody pruned the repository.
    pub fn steadily<T>(&self, tpe: FileType, mut read: impl FnMut() -> RusticResult<T>) -> anyhow::Result<T> {
        let mut attempt = 1;
        loop {
            let error = match read() {
                Ok(read) => return Ok(read),
                Err(error) => error,
            };
            if attempt == ATTEMPTS || !self.has_lost(tpe)? {
                return Err(failure(error));
            }
            report::warn(format_args!(
                "the repository is pruned at the moment, so it is read once more: {}",
                text(&error)
            ));
            thread::sleep(Duration::from_secs(1 << attempt));
            attempt += 1;
        }
    }

    /// From now on a config is written only beside the one key that was written before it.
    pub fn make(&self) {
        self.making.store(true, Ordering::SeqCst);
    }

    /// Whether the config that was to be made may be there.
    pub fn may_have_config(&self) -> bool {
        self.config_handed_over.load(Ordering::SeqCst)
    }

    /// Takes the key that was written away again, as far as one may.
    pub fn remove_own_key(&self) {
        let Some(id) = *lock(&self.key) else { return };
        let storage = self.storage.clone();
        let removed = self.patience.ask_to_change(move || storage.remove(FileType::Key, &id, false));
        if let Err(e) = removed {
            report::warn(format_args!("key {} cannot be removed: {}", id.to_hex().as_str(), text(&e)));
        }
    }

    fn seen(&self, tpe: FileType) -> Option<&Mutex<BTreeSet<Id>>> {
        match tpe {
            FileType::Index => Some(&self.indexes),
            FileType::Snapshot => Some(&self.snapshots),
            _ => None,
        }
    }

    /// Each machine writes its key first and looks then: of two at the same time, at least one sees both, and makes nothing.
    fn check_alone(&self) -> RusticResult<()> {
        let own = *lock(&self.key);
        let keys = self.list(FileType::Key)?;
        if keys.len() == 1 && own == Some(keys[0]) {
            return Ok(());
        }
        Err(RusticError::new(
            ErrorKind::Backend,
            "another machine makes a repository there at the same time; make it with one machine, then start the others",
        ))
    }
}

/// Whoever panicked with it has left it whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ReadBackend for Witness {
    fn location(&self) -> String {
        self.storage.location()
    }

    fn list_with_size(&self, tpe: FileType) -> RusticResult<Vec<(Id, u32)>> {
        let list = whole_list(tpe, || self.storage.list_with_size(tpe))?;
        if let Some(seen) = self.seen(tpe) {
            lock(seen).extend(list.iter().map(|(id, _)| *id));
        }
        Ok(list)
    }

    fn list(&self, tpe: FileType) -> RusticResult<Vec<Id>> {
        let list = whole_list(tpe, || self.storage.list(tpe))?;
        if let Some(seen) = self.seen(tpe) {
            lock(seen).extend(&list);
        }
        Ok(list)
    }

    fn read_full(&self, tpe: FileType, id: &Id) -> RusticResult<Bytes> {
        self.storage.read_full(tpe, id)
    }

    fn read_partial(
        &self,
        tpe: FileType,
        id: &Id,
        cacheable: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<Bytes> {
        self.storage.read_partial(tpe, id, cacheable, offset, length)
    }

    fn warmup_path(&self, tpe: FileType, id: &Id) -> String {
        self.storage.warmup_path(tpe, id)
    }

    fn needs_warm_up(&self) -> bool {
        self.storage.needs_warm_up()
    }

    fn warm_up(&self, tpe: FileType, id: &Id) -> RusticResult<()> {
        self.storage.warm_up(tpe, id)
    }
}

impl WriteBackend for Witness {
    fn create(&self) -> RusticResult<()> {
        self.storage.create()
    }

    fn write_bytes(&self, tpe: FileType, id: &Id, cacheable: bool, content: BytesList) -> RusticResult<()> {
        if tpe == FileType::Config && self.making.load(Ordering::SeqCst) {
            self.check_alone()?;
            self.config_handed_over.store(true, Ordering::SeqCst);
        }
        self.storage.write_bytes(tpe, id, cacheable, content)?;
        if tpe == FileType::Key {
            *lock(&self.key) = Some(*id);
        }
        if let Some(seen) = self.seen(tpe) {
            lock(seen).insert(*id);
        }
        Ok(())
    }

    fn remove(&self, tpe: FileType, id: &Id, cacheable: bool) -> RusticResult<()> {
        self.storage.remove(tpe, id, cacheable)?;
        if let Some(seen) = self.seen(tpe) {
            lock(seen).remove(id);
        }
        Ok(())
    }
}
