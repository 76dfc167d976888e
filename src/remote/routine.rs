// SPDX-License-Identifier: GPL-3.0-or-later
//! A backup with all that goes around it, as a timer wants it: hooks, letting old points go, metrics.
//!
//! `before_cut` runs before anything else is started, `after_cut` when sender and receiver have ended, whatever came of
//! them. A sender ends after its guardian, so on this machine nothing is suspended or frozen while a hook runs.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use jiff::Timestamp;

use super::backup::Done;
use super::hook::Hook;
use super::metrics;
use super::work::Work;
use crate::report;
use crate::repository::retention::Keep;
use crate::stopping;

/// What to do.
#[derive(Clone, Debug)]
pub struct Routine {
    /// The backup itself.
    pub work: Work,
    /// What to run before it.
    pub before_cut: Option<Hook>,
    /// What to run after it, in any case.
    pub after_cut: Option<Hook>,
    /// Which points to keep; all where not given.
    pub keep: Option<Keep>,
    /// Where to write metrics.
    pub metrics: Option<PathBuf>,
}

impl Routine {
    /// Where from, as people write it.
    pub fn source(&self) -> String {
        self.work.source()
    }

    fn repository(&self) -> String {
        self.work.repository()
    }

    /// Does it all. Nothing is begun if something of it cannot be. What was done may include a point that is in
    /// [trouble](Done::trouble).
    pub fn run(&self) -> anyhow::Result<Done> {
        self.check()?;
        let begin = Instant::now();
        let mut result = self.add_point().and_then(|done| self.let_go(done));
        if let (Err(_), Some(_)) = (&result, stopping::signal()) {
            result = result.context("interrupted");
        }
        let Some(path) = &self.metrics else { return result };
        let written = metrics::write(
            path,
            &metrics::Run {
                source: &self.source(),
                repository: &self.repository(),
                end: Timestamp::now(),
                duration: begin.elapsed(),
                done: result.as_ref().ok(),
                succeeded: result.as_ref().is_ok_and(|done| done.trouble().is_none()),
            },
        );
        match (&result, written) {
            (_, Ok(())) => result,
            (Ok(done), Err(e)) => Err(e.context(incomplete(done))),
            (Err(_), Err(e)) => {
                report::warn(format_args!("{e:#}"));
                result
            }
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        self.work.check(self.keep.is_some())?;
        self.metrics.as_deref().map_or(Ok(()), metrics::check)
    }

    fn add_point(&self) -> anyhow::Result<Done> {
        let begun = match &self.before_cut {
            Some(hook) => hook.run(&self.variables(hook, None), || stopping::signal().is_some()),
            None => Ok(()),
        };
        let result = begun.and_then(|()| self.work.backup());
        let Some(hook) = &self.after_cut else { return result };
        // It puts things in order again: an interruption is no reason to leave it out.
        match (hook.run(&self.variables(hook, Some(&result)), || false), &result) {
            (Ok(()), _) => result,
            (Err(e), Ok(done)) => Err(e.context(incomplete(done))),
            (Err(e), Err(_)) => {
                report::warn(format_args!("{e:#}"));
                result
            }
        }
    }

    /// What a hook finds in its environment; what of that is not known it does not find.
    fn variables(
        &self,
        hook: &Hook,
        result: Option<&anyhow::Result<Done>>,
    ) -> [(&'static str, Option<String>); 6] {
        let done = result.and_then(|result| result.as_ref().ok());
        let error = result.and_then(|result| match result {
            Ok(done) => done.trouble(),
            Err(e) => Some(report::one_line(&format!("{e:#}"))),
        });
        [
            ("ERA_HOOK", Some(hook.name.to_owned())),
            ("ERA_SOURCE", Some(self.source())),
            ("ERA_REPOSITORY", Some(self.repository())),
            ("ERA_RESULT", result.map(|_| if error.is_none() { "success" } else { "failure" }.to_owned())),
            ("ERA_POINT", done.map(|done| done.point.id())),
            ("ERA_ERROR", error),
        ]
    }

    /// Takes old points away, unless somebody uses the repository: the next run does it then.
    fn let_go(&self, mut done: Done) -> anyhow::Result<Done> {
        // What may be needed to see what went wrong stays.
        let Some(keep) = self.keep.as_ref().filter(|_| done.trouble().is_none()) else { return Ok(done) };
        let Some(left) = self.work.let_go(keep).with_context(|| incomplete(&done))? else { return Ok(done) };
        (done.removed_points, done.points, done.suspect_points) =
            (left.removed, left.points, left.suspect_points);
        Ok(done)
    }
}

/// What is wrong with the point comes first: it is the worse of the two.
fn incomplete(done: &Done) -> String {
    let trouble = done.trouble().map_or(String::new(), |trouble| format!("{trouble}; "));
    format!("{trouble}point {} was added, but not all else was done", done.point.id())
}
