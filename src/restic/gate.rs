// SPDX-License-Identifier: GPL-3.0-or-later
//! The way to the storage, shut for snapshots until all is known to be well.
//!
//! rustic saves a snapshot at the end of each archive, also where it has left files out because of errors. While the gate is shut, what
//! it saves is kept in memory, where it can be read and so be the parent of what comes next, and never reaches the repository.
//!
//! It also counts what is uploaded, and remembers the first upload that failed, so that whoever feeds the archive can stop.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};
use sha2::{Digest, Sha256};

use super::failure::text;
use super::patience::Patience;
use super::witness::lock;
use crate::device::failpoint;

/// A storage with a gate before it.
#[derive(Debug)]
pub struct Gate {
    storage: Arc<dyn WriteBackend>,
    patience: Arc<Patience>,
    shut: AtomicBool,
    held: Mutex<BTreeMap<Id, Bytes>>,
    /// The snapshot that was written last.
    last: Mutex<Option<Id>>,
    uploaded: AtomicU64,
    failed: Mutex<Option<String>>,
}

impl Gate {
    /// An open one.
    pub fn new(storage: Arc<dyn WriteBackend>, patience: Arc<Patience>) -> Arc<Self> {
        Arc::new(Self {
            storage,
            patience,
            shut: AtomicBool::new(false),
            held: Mutex::default(),
            last: Mutex::default(),
            uploaded: AtomicU64::new(0),
            failed: Mutex::default(),
        })
    }

    /// From now on no snapshot passes.
    pub fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
    }

    /// From now on snapshots pass. Those that were held back are gone.
    pub fn open(&self) {
        lock(&self.held).clear();
        self.shut.store(false, Ordering::SeqCst);
    }

    /// The snapshot that was written last, past the gate.
    pub fn last_snapshot(&self) -> Option<Id> {
        *lock(&self.last)
    }

    /// Bytes that were uploaded.
    pub fn uploaded(&self) -> u64 {
        self.uploaded.load(Ordering::SeqCst)
    }

    /// What the first upload that failed said.
    pub fn failure(&self) -> Option<String> {
        lock(&self.failed).clone()
    }

    fn held(&self, tpe: FileType, id: &Id) -> Option<Bytes> {
        if tpe == FileType::Snapshot { lock(&self.held).get(id).cloned() } else { None }
    }

    /// Removes what an upload that failed may have left behind: over SFTP that is a part of a file under its final name, which everybody
    /// who reads the repository would stumble over.
    fn take_back(&self, tpe: FileType, id: &Id, cacheable: bool) {
        // Of the others nobody else has the name; the configuration has no name of its own, and may be that of another host.
        if tpe != FileType::Config {
            let (storage, id) = (self.storage.clone(), *id);
            // The upload's own error is told. Often there is nothing, or it may not be removed.
            let _ = self.patience.ask_to_change(move || storage.remove(tpe, &id, cacheable));
        }
    }
}

/// An error where a list of what is in packs, or a snapshot, is not what its name says.
fn whole(tpe: FileType, id: &Id, bytes: &[u8]) -> RusticResult<()> {
    let (folder, cure) = match tpe {
        FileType::Index => ("index", "run `restic repair index`, or `restic rebuild-index` where it is old"),
        FileType::Snapshot => ("snapshots", "remove that file"),
        FileType::Key => ("keys", "remove that file, or put it back if it is the only one"),
        _ => return Ok(()),
    };
    let name = id.to_hex();
    let hash = Sha256::digest(bytes);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    if hash == name.as_str() {
        return Ok(());
    }
    Err(RusticError::new(
        ErrorKind::Repository,
        format!(
            "{folder}/{}: {} bytes that are not what its name says: an upload that broke off, or damage; {cure}",
            name.as_str(),
            bytes.len()
        ),
    ))
}

impl ReadBackend for Gate {
    fn location(&self) -> String {
        self.storage.location()
    }

    fn list_with_size(&self, tpe: FileType) -> RusticResult<Vec<(Id, u32)>> {
        let storage = self.storage.clone();
        let mut list = self.patience.ask(move || storage.list_with_size(tpe))?;
        if tpe == FileType::Snapshot {
            let size = |bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            list.extend(lock(&self.held).iter().map(|(id, bytes)| (*id, size(bytes))));
        }
        Ok(list)
    }

    fn list(&self, tpe: FileType) -> RusticResult<Vec<Id>> {
        let storage = self.storage.clone();
        let mut list = self.patience.ask(move || storage.list(tpe))?;
        if tpe == FileType::Snapshot {
            list.extend(lock(&self.held).keys());
        }
        Ok(list)
    }

    fn read_full(&self, tpe: FileType, id: &Id) -> RusticResult<Bytes> {
        match self.held(tpe, id) {
            Some(bytes) => Ok(bytes),
            None => {
                let (storage, named) = (self.storage.clone(), *id);
                let bytes = self.patience.ask(move || storage.read_full(tpe, &named))?;
                whole(tpe, id, &bytes)?;
                Ok(bytes)
            }
        }
    }

    fn read_partial(
        &self,
        tpe: FileType,
        id: &Id,
        cacheable: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<Bytes> {
        let (storage, id) = (self.storage.clone(), *id);
        self.patience.ask(move || storage.read_partial(tpe, &id, cacheable, offset, length))
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

impl WriteBackend for Gate {
    fn create(&self) -> RusticResult<()> {
        let storage = self.storage.clone();
        self.patience.ask_to_change(move || storage.create())
    }

    fn write_bytes(&self, tpe: FileType, id: &Id, cacheable: bool, content: BytesList) -> RusticResult<()> {
        if tpe == FileType::Snapshot && self.shut.load(Ordering::SeqCst) {
            lock(&self.held).insert(*id, content.slice().concat().into());
            return Ok(());
        }
        let size = content.size() as u64;
        let (storage, named) = (self.storage.clone(), *id);
        let written =
            self.patience.ask_to_change(move || storage.write_bytes(tpe, &named, cacheable, content));
        match &written {
            Ok(()) => {
                self.uploaded.fetch_add(size, Ordering::SeqCst);
                if tpe == FileType::Pack {
                    failpoint::reach("restic-uploading");
                }
                if tpe == FileType::Snapshot {
                    *lock(&self.last) = Some(*id);
                }
            }
            Err(e) => {
                lock(&self.failed).get_or_insert_with(|| text(e));
                self.take_back(tpe, id, cacheable);
            }
        }
        written
    }

    fn remove(&self, tpe: FileType, id: &Id, cacheable: bool) -> RusticResult<()> {
        if tpe == FileType::Snapshot && lock(&self.held).remove(id).is_some() {
            return Ok(());
        }
        let (storage, id) = (self.storage.clone(), *id);
        self.patience.ask_to_change(move || storage.remove(tpe, &id, cacheable))
    }
}
