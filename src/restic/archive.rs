// SPDX-License-Identifier: GPL-3.0-or-later
//! An open repository with its index: blobs are read here, and only here, and checked.
//!
//! A blob is named by the SHA-256 of what it holds. rustic finds a changed byte when it decrypts, as each blob is signed with the
//! repository's key; that it is the blob which was asked for, and not another one of the same repository, is seen by its name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use bytes::Bytes;
use rustic_core::repofile::{BlobType, ConfigFile, Tree};
use rustic_core::{BlobId, DataId, Id, IndexedFullStatus, Repository, TreeId};
use sha2::{Digest, Sha256};

use super::failure::failure;

/// Blobs whose length is no multiple of this are not compared with zeros by their names: they are cut by content, hardly
/// two have the same length, and so a hash of zeros of that length would be needed for each.
const ROUND: u32 = 4096;

/// An open repository, to read from.
#[derive(Clone, Debug)]
pub struct Archive(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    repository: Repository<IndexedFullStatus>,
    /// What blobs of zeros are called, by their length.
    zeros: Mutex<HashMap<u32, DataId>>,
}

impl Archive {
    /// One whose index was read.
    pub fn new(repository: Repository<IndexedFullStatus>) -> Self {
        Self(Arc::new(Inner { repository, zeros: Mutex::default() }))
    }

    /// What the repository says of itself.
    pub fn config(&self) -> &ConfigFile {
        self.0.repository.config()
    }

    /// A tree.
    pub fn tree(&self, id: &TreeId) -> anyhow::Result<Tree> {
        self.0.repository.get_tree(id).map_err(failure)
    }

    /// How many bytes a blob has.
    pub fn len_of(&self, id: &DataId) -> anyhow::Result<u32> {
        let entry = self.0.repository.get_index_entry(id).map_err(failure);
        Ok(entry.with_context(|| lost(id))?.data_length())
    }

    /// The pack that a blob is in, by the digits that messages have.
    pub fn pack_of(&self, id: &DataId) -> anyhow::Result<String> {
        let entry = self.0.repository.get_index_entry(id).map_err(failure);
        Ok(entry.with_context(|| lost(id))?.pack.to_string())
    }

    /// Whether a blob of this length holds zeros, as far as its name tells.
    pub fn is_zeros(&self, id: &DataId, len: u32) -> bool {
        if !len.is_multiple_of(ROUND) {
            return false;
        }
        let mut zeros = self.0.zeros.lock().unwrap_or_else(PoisonError::into_inner);
        *zeros.entry(len).or_insert_with(|| name_of(&vec![0; len as usize])) == *id
    }

    /// What a blob holds.
    pub fn read(&self, id: &DataId) -> anyhow::Result<Bytes> {
        let blob = BlobId::from(**id);
        let bytes = self.0.repository.get_blob_cached(&blob, BlobType::Data).map_err(failure)?;
        if name_of(&bytes) != *id {
            bail!(
                "blob {} does not hold what its name says: the repository is damaged",
                id.to_hex().as_str()
            );
        }
        Ok(bytes)
    }
}

fn lost(id: &DataId) -> String {
    format!("blob {} is not in the repository's index", id.to_hex().as_str())
}

fn name_of(bytes: &[u8]) -> DataId {
    DataId::from(Id::new(Sha256::digest(bytes).into()))
}
