// SPDX-License-Identifier: GPL-3.0-or-later
//! What rustic says, in words for people: errors in one line, warnings on stderr, and no password in either.

use std::cell::Cell;
use std::error::Error;
use std::sync::{Mutex, Once, PoisonError};

use anyhow::anyhow;
use log::{Level, LevelFilter, Log, Metadata, Record};
use rustic_core::RusticError;

use crate::report;

/// What must not be printed, and is not short.
static SECRETS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// From now on this is not printed in any message.
pub fn hide(secret: &str) {
    // What is very short would make every message unreadable, and is no secret.
    if secret.len() >= 4 {
        SECRETS.lock().unwrap_or_else(PoisonError::into_inner).push(secret.to_owned());
    }
}

/// A text without secrets.
pub fn masked(text: &str) -> String {
    let secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
}

/// An error in one line: what happened, and why.
pub fn text(error: &RusticError) -> String {
    let why = error.source().map_or_else(String::new, |cause| format!(": {}", cause_text(cause)));
    masked(&format!("{}{why}", own_text(error)))
}

/// The same of what caused an error: of rustic's own errors in brief, which they are not by themselves.
pub fn cause_text(mut cause: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    loop {
        let boxed = || cause.downcast_ref::<Box<RusticError>>().map(|boxed| &**boxed);
        let part = match cause.downcast_ref::<RusticError>().or_else(boxed) {
            Some(error) => own_text(error),
            None => report::one_line(&cause.to_string()),
        };
        // Many errors say what their cause says.
        if !parts.iter().any(|said| said.contains(&part)) {
            parts.push(part);
        }
        match cause.source() {
            Some(next) => cause = next,
            None => return masked(&parts.join(": ")),
        }
    }
}

/// What happened, without "Error: ", the kind of error, and its cause.
fn own_text(error: &RusticError) -> String {
    let log = error.display_log();
    let mut text = log.strip_prefix("Error: ").unwrap_or(&log);
    if error.source().is_some()
        && let Some((before, _)) = text.split_once(": caused by: ")
    {
        text = before;
    }
    match text.rsplit_once(" (kind: related to ") {
        Some((before, _)) => report::one_line(before),
        None => report::one_line(text),
    }
}

/// Whether an error says that no index names a tree, not only that it could not be read.
pub fn is_not_in_index(error: &RusticError) -> bool {
    text(error).contains("not found in index")
}

/// As an error of this program.
pub fn failure(error: Box<RusticError>) -> anyhow::Error {
    anyhow!(text(&error))
}

thread_local! {
    /// Errors that backends have only told of, asked by this thread, and gone on without what they could not read.
    static BACKEND_ERRORS: Cell<u64> = const { Cell::new(0) };
}

/// How many there were: lists that were read while it grew may not be whole.
pub fn backend_errors() -> u64 {
    BACKEND_ERRORS.get()
}

/// Passes warnings on.
struct Warnings;

impl Log for Warnings {
    fn enabled(&self, metadata: &Metadata) -> bool {
        // What a check finds is told by who has asked for it.
        metadata.level() <= Level::Warn && !metadata.target().starts_with("rustic_core::commands::check")
    }

    fn log(&self, record: &Record) {
        if record.level() == Level::Error && record.target().starts_with("rustic_backend") {
            BACKEND_ERRORS.set(BACKEND_ERRORS.get() + 1);
        }
        // That something is not there is an answer as another.
        let is_answer =
            record.target().starts_with("opendal") && record.args().to_string().contains("NotFound");
        if self.enabled(record.metadata()) && !is_answer {
            report::warn(format_args!("{}", masked(&report::one_line(&record.args().to_string()))));
        }
    }

    fn flush(&self) {}
}

/// From now on, warnings such as that something is tried again are printed.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Fails only where another one is there, which then does it.
        if log::set_logger(&Warnings).is_ok() {
            log::set_max_level(LevelFilter::Warn);
        }
    });
}

#[cfg(test)]
mod tests {
    use rustic_core::{ErrorKind, RusticError};

    use super::*;

    #[test]
    fn errors_are_a_line_without_secrets() {
        hide("hunter22");
        let error = RusticError::new(ErrorKind::Backend, "Cannot reach `{url}`\nTry again.")
            .attach_context("url", "http://me:hunter22@host/");
        assert_eq!(text(&error), "Cannot reach `http://me:***@host/`; Try again.");
    }

    #[test]
    fn causes_are_told_in_brief() {
        let inner = RusticError::with_source(ErrorKind::Cryptography, "It is `{what}`.", std::fmt::Error)
            .attach_context("what", "wrong")
            .attach_context("nonce", "17");
        let outer = RusticError::with_source(ErrorKind::Backend, "Cannot read", inner);
        assert_eq!(text(&outer), format!("Cannot read: It is `wrong`.: {}", std::fmt::Error));
    }
}
