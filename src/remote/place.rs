// SPDX-License-Identifier: GPL-3.0-or-later
//! Where a backup comes from and goes to: `[USER@]HOST:WHAT`, or `WHAT` on this machine.

use std::str::FromStr;

use thiserror::Error;

use crate::device::eratab::Name;
#[cfg(feature = "restic")]
use crate::restic::url::Url;

/// A device on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePlace {
    /// The machine; this one where not given.
    pub host: Option<String>,
    /// The tracked device.
    pub name: Name,
}

/// A repository on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetPlace {
    /// The machine; this one where not given.
    pub host: Option<String>,
    /// Its directory.
    pub path: String,
}

/// A repository of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A directory.
    Directory(TargetPlace),
    /// `restic:URL`.
    #[cfg(feature = "restic")]
    Restic(Url),
}

/// A text that is no place.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct NoPlace(String);

/// As scp and rsync do it: what stands before the first colon is a host, unless there is a slash before it. Nothing
/// before it is this machine.
fn split(text: &str) -> Result<(Option<String>, &str), NoPlace> {
    let Some((host, what)) = text.split_once(':').filter(|(host, _)| !host.contains('/')) else {
        return Ok((None, text));
    };
    // ssh would take it for an option.
    if host.starts_with('-') {
        return Err(NoPlace(format!("{host:?} is no host: it begins with '-'")));
    }
    if host.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(NoPlace(format!("{host:?} is no host")));
    }
    Ok((Some(host.to_owned()).filter(|host| !host.is_empty()), what))
}

impl FromStr for SourcePlace {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (host, name) = split(text)?;
        Ok(Self { host, name: name.parse().map_err(|e| NoPlace(format!("{e}")))? })
    }
}

impl FromStr for TargetPlace {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (host, path) = split(text)?;
        if path.is_empty() {
            return Err(NoPlace(format!("{text:?} names no directory")));
        }
        Ok(Self { host, path: path.to_owned() })
    }
}

impl FromStr for Target {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        if text.starts_with("restic:") { restic(text) } else { text.parse().map(Target::Directory) }
    }
}

#[cfg(feature = "restic")]
fn restic(text: &str) -> Result<Target, NoPlace> {
    text.parse().map(Target::Restic).map_err(|e: anyhow::Error| NoPlace(format!("{e:#}")))
}

#[cfg(not(feature = "restic"))]
fn restic(_: &str) -> Result<Target, NoPlace> {
    Err(NoPlace("this program was built without restic's repositories".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let source =
            |text: &str| text.parse::<SourcePlace>().map(|place| (place.host, place.name.to_string()));
        let host = |host: &str| Some(host.to_owned());
        assert_eq!(source("root"), Ok((None, "root".into())));
        assert_eq!(source("vm1:root"), Ok((host("vm1"), "root".into())));
        assert_eq!(source("me@vm1:root"), Ok((host("me@vm1"), "root".into())));
        assert_eq!(source(":a:b"), Ok((None, "a:b".into())));
        let target = |text: &str| text.parse::<TargetPlace>().map(|place| (place.host, place.path));
        assert_eq!(target("/srv/a:b"), Ok((None, "/srv/a:b".into())));
        assert_eq!(target("b:/srv"), Ok((host("b"), "/srv".into())));
        assert_eq!(target("./a:b"), Ok((None, "./a:b".into())));
    }

    #[test]
    fn what_is_none() {
        for bad in ["-oProxyCommand=x:root", "a b:root", "host:", "host:a/b", ""] {
            assert!(bad.parse::<SourcePlace>().is_err(), "{bad}");
        }
        for bad in ["-x:/srv", "host:", ""] {
            assert!(bad.parse::<TargetPlace>().is_err(), "{bad}");
        }
    }
}
