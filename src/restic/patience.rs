// SPDX-License-Identifier: GPL-3.0-or-later
//! A storage that does not answer at all is an error after a time: what rustic reaches object stores with tries again what failed, and
//! waits for ever for what does neither fail nor succeed.
//!
//! Each request has a thread of its own, which can be left behind. So a run fails as with any other error: the sender is ended, hooks
//! and metrics follow. A read of a mounted image fails, and the mount goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustic_core::{ErrorKind, RusticError, RusticResult};

use super::password::variable;
use crate::stopping;

/// For one request, tries included: a pack of data over a slow line takes minutes.
const DEFAULT: Duration = Duration::from_secs(900);

/// How often one looks whether this program is to end.
const LOOK: Duration = Duration::from_secs(1);

/// How long an answer has still time then.
const LAST: Duration = Duration::from_secs(10);

/// The variable that says otherwise, in seconds.
const VARIABLE: &str = "ERA_STORAGE_TIMEOUT";

/// How long one waits for a storage.
#[derive(Debug)]
pub struct Patience {
    name: String,
    limit: Duration,
    /// An upload was not answered, so that nothing can become of the run.
    is_over: AtomicBool,
}

impl Patience {
    /// As the environment says; `name` is how messages call the storage.
    pub fn new(name: String) -> anyhow::Result<Self> {
        Ok(Self::with_limit(name, limit()?))
    }

    /// With a limit.
    pub fn with_limit(name: String, limit: Duration) -> Self {
        Self { name, limit, is_over: AtomicBool::new(false) }
    }

    /// The answer to a request that changes nothing.
    pub fn ask<T: Send + 'static>(
        &self,
        request: impl FnOnce() -> RusticResult<T> + Send + 'static,
    ) -> RusticResult<T> {
        if stopping::signal().is_some() {
            return Err(self.error("interrupted".into()));
        }
        self.run(request, false)
    }

    /// The same, of a thread that stays: a process that was started for it lives no longer than the thread that has started it.
    pub fn ask_who_stays<T: Send + 'static>(
        &self,
        request: impl FnOnce() -> RusticResult<T> + Send + 'static,
    ) -> RusticResult<T> {
        self.run(request, true)
    }

    fn run<T: Send + 'static>(
        &self,
        request: impl FnOnce() -> RusticResult<T> + Send + 'static,
        stays: bool,
    ) -> RusticResult<T> {
        if self.is_over.load(Ordering::SeqCst) {
            return Err(self.given_up());
        }
        let (tell, told) = sync_channel(1);
        let run = move || {
            // Nobody may wait for it any more.
            let _ = tell.send(request());
            if stays {
                loop {
                    thread::park();
                }
            }
        };
        thread::Builder::new().name("storage".into()).spawn(run).map_err(|e| {
            RusticError::with_source(ErrorKind::Backend, "cannot start a thread for the storage", e)
        })?;
        let begin = Instant::now();
        let mut interrupted: Option<Instant> = None;
        loop {
            match told.recv_timeout(LOOK.min(self.limit)) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.error("a request to the storage ended without an answer".into()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if stopping::signal().is_some() && interrupted.get_or_insert_with(Instant::now).elapsed() >= LAST
            {
                // Whoever ends this program, such as systemd, waits for it no longer than so long; hooks and metrics come after.
                self.is_over.store(true, Ordering::SeqCst);
                return Err(self.error("interrupted, while a request was not answered".into()));
            }
            if begin.elapsed() >= self.limit {
                return Err(self.given_up());
            }
        }
    }

    /// The same of one that changes the storage. After one that was not answered, all others fail at once: each would take as long.
    pub fn ask_to_change<T: Send + 'static>(
        &self,
        request: impl FnOnce() -> RusticResult<T> + Send + 'static,
    ) -> RusticResult<T> {
        let is_answered = std::sync::Arc::new(AtomicBool::new(false));
        let answered = is_answered.clone();
        let answer = self.run(
            move || {
                let answer = request();
                answered.store(true, Ordering::SeqCst);
                answer
            },
            false,
        );
        if answer.is_err() && !is_answered.load(Ordering::SeqCst) {
            self.is_over.store(true, Ordering::SeqCst);
        }
        answer
    }

    fn given_up(&self) -> Box<RusticError> {
        self.error(format!(
            "a request was not answered for {} s: given up; try again when the storage answers ({VARIABLE} is for how \
             many seconds to wait)",
            self.limit.as_secs()
        ))
    }

    fn error(&self, what: String) -> Box<RusticError> {
        RusticError::new(ErrorKind::Backend, format!("{}: {what}", self.name))
    }
}

fn limit() -> anyhow::Result<Duration> {
    let Some(text) = variable(VARIABLE)? else { return Ok(DEFAULT) };
    match text.parse().with_context(|| format!("{VARIABLE}: {text:?} is no number of seconds"))? {
        0 => bail!("{VARIABLE}: at least 1 second is needed"),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::super::failure::text;
    use super::*;

    #[test]
    fn what_is_not_answered_is_an_error() {
        let patience = Patience::with_limit("there".into(), Duration::from_millis(50));
        let (keep, never) = channel::<()>();
        // Waits until the test is over.
        let e = patience.ask(move || Ok(never.recv().is_ok())).unwrap_err();
        assert!(text(&e).contains("there: a request was not answered"), "{}", text(&e));
        // A reader goes on.
        let patience = Patience::with_limit("there".into(), Duration::from_secs(600));
        assert_eq!(patience.ask(|| Ok(7)).unwrap(), 7);
        drop(keep);
    }

    #[test]
    fn after_an_upload_that_was_not_answered_all_fail_at_once() {
        let patience = Patience::with_limit("there".into(), Duration::from_millis(50));
        let (keep, never) = channel::<()>();
        assert!(patience.ask_to_change(move || Ok(never.recv().is_ok())).is_err());
        assert!(patience.ask(|| -> RusticResult<()> { unreachable!("it is given up") }).is_err());
        drop(keep);
    }
}
