// SPDX-License-Identifier: GPL-3.0-or-later
//! The commands where the repository is `restic:URL`.
//!
//! A program that was built without them says so: [`url_of`] is the only place that makes a [`Url`], and there it never does.

#[cfg(feature = "restic")]
mod hashes;
#[cfg(feature = "restic")]
mod mount;
#[cfg(feature = "restic")]
mod place;
#[cfg(feature = "restic")]
mod points;
#[cfg(feature = "restic")]
mod prune;
#[cfg(feature = "restic")]
mod receive;
#[cfg(feature = "restic")]
mod restore;
#[cfg(feature = "restic")]
mod verify;
#[cfg(not(feature = "restic"))]
mod without;

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context, bail};

#[cfg(not(feature = "restic"))]
pub(super) use self::without::{files, hashes, place_of, points, prune, restore, verify};
#[cfg(feature = "restic")]
pub(super) use self::{
    hashes::hashes, mount::files, place::place_of, points::points, prune::prune, receive::receive,
    restore::restore, verify::verify,
};
#[cfg(feature = "restic")]
pub(super) use crate::restic::url::Url;

/// Never made: this program is built without restic's repositories.
#[cfg(not(feature = "restic"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Url {}

/// What is asked of `era points`.
#[cfg_attr(not(feature = "restic"), expect(dead_code, reason = "no repository of restic's is ever asked"))]
pub(super) struct Question<'a> {
    /// The device, where only one is meant.
    pub(super) device: Option<&'a str>,
    /// As JSON.
    pub(super) json: bool,
    /// Whether there may be no repository.
    pub(super) if_any: bool,
    /// Only the cursor.
    pub(super) cursor: bool,
}

/// A directory has points of one device only.
pub(super) fn refuse_device(device: Option<&str>, repository: &Path) -> anyhow::Result<()> {
    if device.is_some() {
        bail!("{}: --device is for restic repositories; a directory is of one device", repository.display());
    }
    Ok(())
}

/// Where a repository is, if it is one of restic's; a directory is none.
pub(super) fn url_of(repository: &OsStr) -> anyhow::Result<Option<Url>> {
    if !repository.as_encoded_bytes().starts_with(b"restic:") {
        return Ok(None);
    }
    let text = repository.to_str().context("the URL of a repository must be UTF-8")?;
    parse(text).map(Some)
}

#[cfg(feature = "restic")]
fn parse(text: &str) -> anyhow::Result<Url> {
    text.parse()
}

#[cfg(not(feature = "restic"))]
fn parse(_: &str) -> anyhow::Result<Url> {
    anyhow::bail!(
        "this program was built without restic's repositories: use the one of the packages, or build it with its default features"
    )
}
