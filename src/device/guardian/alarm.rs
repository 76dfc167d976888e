// SPDX-License-Identifier: GPL-3.0-or-later
//! Rouses a parent that waits in a suspend.
//!
//! A suspend waits for writes that are under way, maybe for ever, and holds the device's lock in the kernel meanwhile: a
//! resume by the guardian would wait for that, and could not be ended. So a thread of its own sends the parent a
//! signal again and again, until the guardian is told that all is over: a single one could come just before
//! the suspend begins.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use rustix::process::{Pid, Signal, getppid, kill_process};

/// How often.
const INTERVAL: Duration = Duration::from_millis(20);

/// The thread, which ends with the process.
pub(super) struct Alarm {
    rings: Arc<AtomicBool>,
    thread: Thread,
}

impl Alarm {
    /// An alarm that is silent. The thread is made now, as nothing may be made later.
    pub fn for_parent(parent: i32) -> io::Result<Self> {
        let rings = Arc::new(AtomicBool::new(false));
        let is_ringing = rings.clone();
        let parent = Pid::from_raw(parent);
        let handle = thread::Builder::new().spawn(move || {
            loop {
                if !is_ringing.load(Ordering::Acquire) {
                    thread::park();
                    continue;
                }
                // Once it has died, its number may be another's.
                if let Some(pid) = parent
                    && getppid() == parent
                {
                    let _ = kill_process(pid, Signal::ALARM);
                }
                thread::sleep(INTERVAL);
            }
        })?;
        Ok(Self { rings, thread: handle.thread().clone() })
    }

    /// Begins to send signals.
    pub fn ring(&self) {
        self.rings.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Ends that.
    pub fn stop(&self) {
        self.rings.store(false, Ordering::Release);
    }
}
