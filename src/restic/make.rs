// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether a repository may be made, and whether one that was made is ours alone.
//!
//! rustic asks whether there is a config, and where the answer is no, writes one. A server in trouble says no as well, and two machines may
//! ask at the same time: a config that is written over another makes all that was there unreadable.

use std::path::Path;

use anyhow::{Context, bail};
use rustic_core::repofile::{ConfigFile, KeyId};
use rustic_core::{FileType, Id, ReadBackend, RusticError};

use super::failure::{failure, text};
use super::gate::Gate;
use super::open::{Opened, open, reach};
use super::url::Url;

/// Checks that there really is no repository where none was found: that the storage can be asked, and has none of what a repository has.
pub fn check_vacant(url: &Url, gate: &Gate) -> anyhow::Result<()> {
    let what = || format!("{url}: cannot find out whether there is a repository");
    // rustic's listing takes a directory that is not there for one that cannot be read.
    if let Some(directory) = url.directory() {
        let path = Path::new(directory);
        for name in ["config", "keys"] {
            if !path.join(name).try_exists().with_context(what)? {
                continue;
            }
            if name == "config" || path.join(name).read_dir().with_context(what)?.next().is_some() {
                bail!("{url}: {}", occupied(name));
            }
        }
        return Ok(());
    }
    let keys = gate.list(FileType::Key).map_err(failure).with_context(what)?;
    if !keys.is_empty() {
        bail!("{url}: {}", occupied("keys"));
    }
    match gate.read_full(FileType::Config, &Id::default()) {
        Ok(_) => bail!("{url}: {}", occupied("config")),
        Err(e) if is_absence(&e) => Ok(()),
        Err(e) => Err(failure(e)).with_context(what),
    }
}

/// Whether the storage says that there is no config; that it cannot be read is no such answer.
pub fn has_no_config(url: &Url, gate: &Gate) -> bool {
    match url.directory() {
        Some(directory) => Path::new(directory).join("config").try_exists().is_ok_and(|exists| !exists),
        None => gate.read_full(FileType::Config, &Id::default()).is_err_and(|e| is_absence(&e)),
    }
}

fn occupied(name: &str) -> String {
    format!(
        "there is {name} of a repository, which is not whole, or cannot be read at the moment: try again, also where another machine \
         makes it just now; what is left of a repository that was never finished must be removed by hand"
    )
}

/// Whether an error says that a file is not there, not only that it could not be had.
fn is_absence(error: &RusticError) -> bool {
    let text = text(error);
    text.contains("(404 Not Found)") || text.contains("NotFound (p")
}

/// A repository that this run has made.
pub struct Made {
    url: Url,
    key: Option<KeyId>,
    config: ConfigFile,
}

impl Made {
    /// Just now.
    pub fn new(url: &Url, opened: &Opened) -> Self {
        let repository = &opened.repository;
        Self { url: url.clone(), key: *repository.key_id(), config: repository.config().clone() }
    }

    /// Checks that it is there as it was made, with no other key: that no other machine has made one over it.
    pub fn check(&self) -> anyhow::Result<()> {
        let url = &self.url;
        let (_, gate, _) = reach(url)?;
        let keys = gate.list(FileType::Key).map_err(failure).with_context(|| url.to_string())?;
        let is_alone = keys.iter().map(|id| KeyId::from(*id)).eq(self.key);
        if !is_alone || open(url)?.repository.config().id != self.config.id {
            bail!(
                "{url}: another machine has made a repository there at the same time, and it cannot be relied upon: where there are no \
                 other snapshots in it yet, remove it, make it with one machine, and start the others then"
            );
        }
        Ok(())
    }
}
