// SPDX-License-Identifier: GPL-3.0-or-later
//! `restic:URL@POINT`: where a repository is, and which of its points is meant.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Context;

use super::Url;
use crate::restic::archive::Archive;
use crate::restic::open::{Opened, open};
use crate::restic::points::{Device, Which, devices};
use crate::restic::url::PREFIX;

/// A repository, and a point in it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// As it was written, without the point. It may hold a password.
    pub(crate) text: String,
    /// Where the repository is.
    pub(crate) url: Url,
    /// The point, where one is named.
    pub(crate) which: Option<Which>,
}

/// What stands there, if it is a repository of restic's.
///
/// What follows the last `@` is a point if it can be one: a URL may have an `@` as well, before a host. A directory with such a name
/// is a repository if there is one.
pub(in crate::cli) fn place_of(text: &OsStr) -> anyhow::Result<Option<Place>> {
    if !text.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
        return Ok(None);
    }
    let text = text.to_str().context("the URL of a repository must be UTF-8")?;
    let whole = || Ok(Some(Place { text: text.to_owned(), url: text.parse()?, which: None }));
    let Some((before, after)) = text.rsplit_once('@') else { return whole() };
    let is_directory =
        text.parse().is_ok_and(|url: Url| url.directory().is_some_and(|path| is_repository(Path::new(path))));
    match after.parse() {
        Ok(which) if !is_directory && before.starts_with(PREFIX) => {
            Ok(Some(Place { text: before.to_owned(), url: before.parse()?, which: Some(which) }))
        }
        Err(e) if !is_directory && is_hardly_url(after) => Err(e).context(before.to_owned()),
        _ => whole(),
    }
}

fn is_repository(directory: &Path) -> bool {
    directory.join("config").exists()
}

/// Whether what follows an `@` was meant to be a point, though it is none: a host is followed by a path.
fn is_hardly_url(after: &str) -> bool {
    !after.contains(['/', ':', '.'])
}

/// Opens a repository, and looks which devices it has points of.
pub(super) fn open_and_list(url: &Url) -> anyhow::Result<(Opened, Vec<Device>)> {
    let opened = open(url)?;
    let devices = devices(&opened.all_snapshots()?);
    Ok((opened, devices))
}

/// To read from it: where everything is, is read first.
pub(super) fn index(opened: Opened) -> anyhow::Result<(String, Archive)> {
    let name = opened.name.clone();
    Ok((name, Archive::new(opened.index()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, Option<String>) {
        let place = place_of(OsStr::new(text)).unwrap().unwrap();
        (place.text, place.which.map(|which| which.to_string()))
    }

    #[test]
    fn a_point_follows_the_last_at_sign() {
        for (text, repository, which) in [
            ("restic:/srv/r", "restic:/srv/r", None),
            ("restic:/srv/r@latest~2", "restic:/srv/r", Some("latest~2")),
            ("restic:/srv/r@0123abcd", "restic:/srv/r", Some("0123abcd")),
            ("restic:rclone:me@host:/r", "restic:rclone:me@host:/r", None),
            ("restic:rclone:me@cafe:/r", "restic:rclone:me@cafe:/r", None),
            (
                "restic:rclone:me@host:/r@2026-11-24T03:00:00Z",
                "restic:rclone:me@host:/r",
                Some("2026-11-24T03:00:00Z"),
            ),
            ("restic:rest:http://a:b@host/", "restic:rest:http://a:b@host/", None),
            ("restic:rest:http://a:b@host/@latest", "restic:rest:http://a:b@host/", Some("latest")),
        ] {
            assert_eq!(parsed(text), (repository.to_owned(), which.map(str::to_owned)), "{text}");
        }
        assert!(place_of(OsStr::new("/srv/restic:x")).unwrap().is_none());
        let error = place_of(OsStr::new("restic:/srv/r@yesterday")).unwrap_err();
        assert!(format!("{error:#}").contains("\"yesterday\" is no point"), "{error:#}");
    }

    #[test]
    fn a_directory_may_have_an_at_sign() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r@beef");
        let text = format!("restic:{}", path.display());
        assert_eq!(parsed(&text).1.as_deref(), Some("beef"));
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("config"), "").unwrap();
        assert_eq!(parsed(&text), (text.clone(), None));
        assert_eq!(parsed(&format!("{text}@latest")), (text, Some("latest".into())));
    }
}
