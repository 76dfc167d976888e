// SPDX-License-Identifier: GPL-3.0-or-later
//! Ctrl-C and a polite kill end what was started and not at once this program, which has things to put in order after that.
//!
//! The first signal goes to all processes that are at work, and none is started any more; the second one ends the program. A
//! process is on the list from its start until just before it is reaped, so that no number is of another one.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

struct State {
    /// The signal that asked for the end.
    signal: Option<i32>,
    at_work: Vec<Pid>,
}

static STATE: Mutex<State> = Mutex::new(State { signal: None, at_work: Vec::new() });

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, SIGINT, SIGTERM and SIGHUP end the processes that are at work first.
pub fn watch() -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot wait for signals")?;
    thread::spawn(move || {
        for signal in signals.forever() {
            let mut state = state();
            if state.signal.is_some() {
                // Ends the process; cannot fail for these signals.
                let _ = emulate_default_handler(signal);
            }
            state.signal = Some(signal);
            for &pid in &state.at_work {
                // It may have ended by itself.
                let _ = kill_process(pid, Signal::TERM);
            }
        }
    });
    Ok(())
}

/// The signal that asked for the end.
pub fn signal() -> Option<i32> {
    state().signal
}

/// An error where a signal asked for the end.
pub fn check() -> anyhow::Result<()> {
    match signal() {
        Some(_) => bail!("interrupted"),
        None => Ok(()),
    }
}

/// Starts a process that a signal ends.
pub fn start(command: &mut Command) -> io::Result<Child> {
    let mut state = state();
    if state.signal.is_some() {
        return Err(io::Error::other("interrupted"));
    }
    let child = command.spawn()?;
    state.at_work.push(Pid::from_child(&child));
    Ok(child)
}

/// Waits for the end of such a process.
pub fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    let pid = Pid::from_child(child);
    // Leaves it a zombie, whose number nobody else has.
    while let Err(e) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        if e != rustix::io::Errno::INTR {
            return Err(e.into());
        }
    }
    state().at_work.retain(|&other| other != pid);
    child.wait()
}
