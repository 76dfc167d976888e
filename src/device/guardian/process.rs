// SPDX-License-Identifier: GPL-3.0-or-later
//! The guardian's side.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};
use rustix::process::setsid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::Charge;
use super::alarm::Alarm;
use crate::device::cut::Emergency;
use crate::device::dm::Dm;
use crate::device::tracked;
use crate::report;
use crate::sys::{LockedMemory, adopt, thaw};

/// After the limit, how often to undo what the parent may have done since.
const REPEAT: Duration = Duration::from_millis(100);

/// Runs as a guardian until the parent has ended or has no use for it.
pub fn run(charge: &str) -> anyhow::Result<()> {
    let charge: Charge =
        serde_json::from_str(charge).context("the guardian process is started by era itself")?;
    // What ends the parent must not end us: neither its terminal nor a kill of its process group.
    let _ = setsid();
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    // Best effort: not every container lets us.
    let _ = fs::write("/proc/self/oom_score_adj", "-1000");
    std::env::set_current_dir("/")?;
    let mut guardian = Guarding::new(charge)?;
    let _memory = LockedMemory::new().context("cannot lock memory")?;
    let ending = guardian.watch()?;
    if ending == Ending::ParentDied {
        guardian.undo();
        guardian.clean_up()?;
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Ending {
    Dismissed,
    ParentDied,
}

struct Guarding {
    dm: Dm,
    charge: Charge,
    /// What resumes everything.
    emergency: Emergency,
    filesystems: Vec<OwnedFd>,
    alarm: Alarm,
}

impl Guarding {
    fn new(charge: Charge) -> anyhow::Result<Self> {
        let origin = charge.origin.parse().ok().context("the number of the device below")?;
        Ok(Self {
            dm: Dm::open()?,
            emergency: Emergency::prepare(&charge.name, charge.stack.is_some(), origin, charge.sectors)?,
            filesystems: charge.filesystems.iter().map(|&fd| adopt(fd)).collect(),
            alarm: Alarm::for_parent(charge.parent)?,
            charge,
        })
    }

    /// Does what the parent says until it has no use for us or has died.
    fn watch(&mut self) -> anyhow::Result<Ending> {
        let (control, answers) = (io::stdin(), io::stdout());
        let answer = |byte: u8| {
            // A parent that does not read has died, which the next read shows.
            let _ = write(&answers, &[byte]);
        };
        answer(b'R');
        let (mut deadline, mut fired) = (None, false);
        loop {
            if !wait(control.as_fd(), deadline)? {
                // A suspend in which the parent waits: ours would wait for the same.
                self.alarm.ring();
                self.undo();
                // Again and again: a parent that stood still before its suspend has that before it.
                (deadline, fired) = (Some(Instant::now() + REPEAT), true);
                continue;
            }
            let mut byte = [0];
            match read(&control, &mut byte) {
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => return Ok(Ending::ParentDied),
                Ok(_) => match byte[0] {
                    b'A' => (deadline, fired) = (Some(Instant::now() + self.charge.limit), false),
                    b'D' => {
                        self.alarm.stop();
                        answer(if fired { b'f' } else { b'd' });
                        deadline = None;
                    }
                    b'Q' => return Ok(Ending::Dismissed),
                    _ => return Ok(Ending::ParentDied),
                },
            }
        }
    }

    /// Lets writes go on. System calls only; each is tried whatever came of the others.
    fn undo(&self) {
        // Fails where the device is gone.
        let _ = self.emergency.issue(&self.dm, None);
        for filesystem in &self.filesystems {
            let _ = thaw(filesystem);
        }
    }

    /// Takes away what else the parent has left. Nothing is suspended any more.
    fn clean_up(&self) -> anyhow::Result<()> {
        tracked::recover(&self.dm, &self.charge.name, self.charge.stack)?;
        report::note(format_args!("{}: cleaned up after an interrupted command", self.charge.name));
        Ok(())
    }
}

/// Waits for the parent, or until the deadline; returns whether the parent was first.
fn wait(control: BorrowedFd, deadline: Option<Instant>) -> anyhow::Result<bool> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Ok(false);
        }
        let timeout = left.map(Timespec::try_from).transpose()?;
        match poll(&mut [PollFd::from_borrowed_fd(control, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(e) => return Err(e).context("cannot wait for the parent"),
        }
    }
}
