// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether a snapshot that is about to be written has all that it needs.
//!
//! Who prunes a repository sees no snapshot that is still to be written, and may take away what it needs. Where that can have been, what
//! the snapshot has beyond its parent, which is there and so keeps what it has, is looked up in the index as it is now.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use rustic_core::repofile::{BlobType, IndexFile};
use rustic_core::{BlobId, FileType, TreeId};
use thiserror::Error;

use super::failure::{failure, is_not_in_index, text};
use super::open::Writable;
use super::witness::Witness;

/// So many blobs are looked up at a time: 32 MiB of names.
const AT_A_TIME: usize = 1 << 20;

/// Checks that the repository has each tree and blob of `new` that `old` does not have. Its index was read just now.
pub fn check(
    repository: &Writable,
    witness: &Witness,
    new: TreeId,
    old: Option<TreeId>,
) -> anyhow::Result<()> {
    let mut wanted = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut folders = vec![(new, old)];
    while let Some((new, old)) = folders.pop() {
        if Some(new) == old || !seen.insert(new) {
            continue;
        }
        let tree = repository
            .get_tree(&new)
            .map_err(|e| if is_not_in_index(&e) { anyhow!(Gone).context(text(&e)) } else { failure(e) })?;
        // Where it cannot be read, nothing is known to be there.
        let before: BTreeMap<_, _> = old
            .and_then(|old| repository.get_tree(&old).ok())
            .into_iter()
            .flat_map(|tree| tree.nodes)
            .map(|node| (node.name.clone(), node))
            .collect();
        for node in tree.nodes {
            let old = before.get(&node.name);
            if let Some(subtree) = node.subtree {
                folders.push((subtree, old.and_then(|old| old.subtree)));
            }
            if old.is_none_or(|old| old.content != node.content) {
                wanted.extend(node.content.into_iter().flatten().map(BlobId::from));
            }
        }
        if wanted.len() >= AT_A_TIME {
            look_up(repository, witness, std::mem::take(&mut wanted))?;
        }
    }
    look_up(repository, witness, wanted)
}

fn look_up(repository: &Writable, witness: &Witness, wanted: BTreeSet<BlobId>) -> anyhow::Result<()> {
    let missing = witness.steadily(FileType::Index, || {
        let mut missing = wanted.clone();
        if missing.is_empty() {
            return Ok(missing);
        }
        for file in repository.stream_files::<IndexFile>()? {
            for blob in file?.1.packs.iter().flat_map(|pack| &pack.blobs) {
                if blob.tpe == BlobType::Data {
                    missing.remove(&blob.id);
                }
            }
        }
        Ok(missing)
    })?;
    match missing.len() {
        0 => Ok(()),
        count => Err(anyhow!(Gone).context(format!("{count} chunks are missing"))),
    }
}

/// What a snapshot needs has gone.
#[derive(Debug, Error)]
#[error(
    "the repository was pruned while this backup ran, and what it had uploaded, or counted upon, has gone; no snapshot was added, the next \
     backup uploads what is missing"
)]
pub struct Gone;
