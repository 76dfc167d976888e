// SPDX-License-Identifier: GPL-3.0-or-later
//! What Ctrl-C and a polite kill leave behind: a message that says what state things are in.
//!
//! A thread waits for the signals, so that a command that is blocked in a read or a write is ended too. It
//! then dies by the same signal, as the shell and the service manager expect.

use std::thread;

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::report;

/// From now on, SIGINT, SIGTERM and SIGHUP print what the interruption leaves, and end the program.
pub(super) fn explain(leaves: String) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot wait for signals")?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            report::fail(format_args!("interrupted: {leaves}"));
            // Ends the process; cannot fail for these signals.
            let _ = emulate_default_handler(signal);
        }
    });
    Ok(())
}
