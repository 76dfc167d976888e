// SPDX-License-Identifier: GPL-3.0-or-later
//! What a routine is around: a backup into a directory, or into a restic repository.

use std::path::Path;

use anyhow::bail;
use jiff::tz::TimeZone;

use super::backup::{Done, Job, backup, place};
#[cfg(feature = "restic")]
use super::restic;
use crate::report;
use crate::repository::Repository;
use crate::repository::prune::prune;
use crate::repository::retention::Keep;
use crate::stopping;

/// A backup.
#[derive(Clone, Debug)]
pub enum Work {
    /// Into a directory.
    Directory(Job),
    /// Into a restic repository.
    #[cfg(feature = "restic")]
    Restic(restic::Job),
}

/// What is left after old points were taken away.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// Points that were taken away.
    pub removed: u64,
    /// Points that are there.
    pub points: u64,
    /// Those of them that may not be what the device was.
    pub suspect_points: u64,
}

impl Work {
    /// Where from, as people write it.
    pub fn source(&self) -> String {
        match self {
            Work::Directory(job) => place(&job.source.host, job.source.name.as_str()),
            #[cfg(feature = "restic")]
            Work::Restic(job) => place(&job.source.host, job.source.name.as_str()),
        }
    }

    /// Where to.
    pub fn repository(&self) -> String {
        match self {
            Work::Directory(job) => place(&job.target.host, &job.target.path),
            #[cfg(feature = "restic")]
            Work::Restic(job) => job.url.to_string(),
        }
    }

    /// Finds out whether it can be done at all, old points taken away included.
    pub fn check(&self, lets_go: bool) -> anyhow::Result<()> {
        #[cfg_attr(not(feature = "restic"), expect(clippy::infallible_destructuring_match))]
        let job = match self {
            Work::Directory(job) => job,
            #[cfg(feature = "restic")]
            Work::Restic(job) => return job.check(),
        };
        job.check()?;
        if let (true, Some(host)) = (lets_go, &job.target.host) {
            bail!(
                "{}: is on another machine, where old points cannot be taken away from here; take [retention] out of the \
                 configuration, and run era prune {} on {host}",
                self.repository(),
                job.target.path
            );
        }
        Ok(())
    }

    /// Adds a point.
    pub fn backup(&self) -> anyhow::Result<Done> {
        match self {
            Work::Directory(job) => backup(job),
            #[cfg(feature = "restic")]
            Work::Restic(job) => restic::backup(job),
        }
    }

    /// Takes old points away. Nothing is returned where somebody uses the repository: the next run does it then.
    pub fn let_go(&self, keep: &Keep) -> anyhow::Result<Option<Left>> {
        match self {
            Work::Directory(job) => let_go_in(Path::new(&job.target.path), keep),
            #[cfg(feature = "restic")]
            Work::Restic(job) => restic::let_go(job, keep).map(Some),
        }
    }
}

fn let_go_in(path: &Path, keep: &Keep) -> anyhow::Result<Option<Left>> {
    let repository = match Repository::open_unused(path)? {
        Ok(repository) => repository,
        Err(in_use) => {
            report::note(format_args!(
                "{}: is in use by {}: no old points were taken away; the next run does it",
                path.display(),
                in_use.holder
            ));
            return Ok(None);
        }
    };
    let mut removed = 0;
    let left = prune(&repository, keep, &TimeZone::system(), |_| {
        let goes_on = stopping::signal().is_none();
        removed += u64::from(goes_on);
        goes_on
    })?;
    let suspect_points = left.points.iter().filter(|point| point.suspect.is_some()).count() as u64;
    Ok(Some(Left { removed, points: left.points.len() as u64, suspect_points }))
}
