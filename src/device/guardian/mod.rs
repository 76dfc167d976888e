// SPDX-License-Identifier: GPL-3.0-or-later
//! The guardian: a process that undoes what a cut does when the cutting process cannot.
//!
//! A suspended device or a frozen filesystem stays so when whoever did it dies, and with / on it nothing on the machine
//! can be started any more to undo it. So before the first suspend or freeze a second process is started: the same
//! program, in a session of its own, its memory locked, everything open that it will need. It has two pipes with its
//! parent. When the parent's end closes, however it died, or when writes have been held back for longer than the limit,
//! the guardian resumes and thaws at once; after the parent's death it also takes the snapshot away.
//!
//! | byte | direction | meaning |
//! | --- | --- | --- |
//! | `R` | to the parent | ready |
//! | `A` | to the guardian | armed: from now on the limit counts |
//! | `D` | to the guardian | disarmed: all is resumed and thawed |
//! | `d`, `f` | to the parent | noted; the limit had passed, and all was undone: the image is not of one moment |
//! | `Q` | to the guardian | nothing is left to undo: end |

mod alarm;
mod process;

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::mounts::Mount;
use super::tracked::Tracked;
use crate::sys::interrupt_on_alarm;
use crate::units::SECTOR_BYTES;

pub use process::run;

/// The hidden command that makes this program a guardian.
pub const COMMAND: &str = "guardian";

/// What a guardian is told when it is started.
#[derive(Debug, Serialize, Deserialize)]
pub struct Charge {
    /// The tracked device.
    name: String,
    /// The uuid of its stack, if it has one.
    stack: Option<Uuid>,
    /// The device that dm-era passes I/O on to, `MAJOR:MINOR`.
    origin: String,
    /// Its size in sectors.
    sectors: u64,
    /// Descriptors of the filesystems to thaw.
    filesystems: Vec<RawFd>,
    /// How long writes may be held back.
    limit: Duration,
    /// The process that cuts.
    parent: i32,
}

/// A guardian at work. Dropped without [`dismiss`](Self::dismiss), it undoes everything.
pub struct Guardian {
    child: Child,
    control: Option<ChildStdin>,
    answers: ChildStdout,
}

/// How a cut went for those who wrote meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was undone in time.
    InTime,
    /// The guardian had to do it.
    LimitPassed,
}

impl Guardian {
    /// Starts a guardian for a device and filesystems, and waits until it is ready.
    pub fn start(tracked: &Tracked, filesystems: &[Mount], limit: Duration) -> anyhow::Result<Self> {
        // When the limit has passed, the guardian ends a suspend that waits, with this signal: it must not end us.
        interrupt_on_alarm().context("cannot handle SIGALRM")?;
        let inherited = filesystems.iter().map(|mount| mount.directory.as_fd());
        let inherited: Vec<BorrowedFd> = inherited.chain([tracked.as_fd()]).collect();
        let charge = Charge {
            name: tracked.name.clone(),
            stack: tracked.stack.map(|stack| stack.uuid),
            origin: tracked.origin.to_string(),
            sectors: tracked.bytes / SECTOR_BYTES,
            filesystems: filesystems.iter().map(|mount| mount.directory.as_raw_fd()).collect(),
            limit,
            parent: rustix::process::getpid().as_raw_pid(),
        };
        set_inherited(&inherited, true)?;
        let child = spawn(&charge);
        set_inherited(&inherited, false)?;
        let mut child = child.context("cannot start the guardian process")?;
        let pipes = (child.stdin.take(), child.stdout.take());
        let (Some(control), Some(answers)) = pipes else { bail!("the guardian process has no pipes") };
        let mut guardian = Self { child, control: Some(control), answers };
        match guardian.answer().context("the guardian process did not start")? {
            b'R' => Ok(guardian),
            other => bail!("the guardian process answers {other:#x}"),
        }
    }

    /// From now on things may be suspended and frozen; the limit counts. One system call.
    pub fn arm(&mut self) -> anyhow::Result<()> {
        self.tell(b'A')
    }

    /// Everything is resumed and thawed again.
    pub fn disarm(&mut self) -> anyhow::Result<Verdict> {
        self.tell(b'D')?;
        match self.answer()? {
            b'd' => Ok(Verdict::InTime),
            b'f' => Ok(Verdict::LimitPassed),
            other => bail!("the guardian process answers {other:#x}"),
        }
    }

    /// Nothing is left to undo.
    pub fn dismiss(mut self) -> anyhow::Result<()> {
        self.tell(b'Q')?;
        self.wait();
        Ok(())
    }

    fn tell(&mut self, byte: u8) -> anyhow::Result<()> {
        let control = self.control.as_mut().context("the guardian process was dismissed")?;
        control.write_all(&[byte]).map_err(died)
    }

    fn answer(&mut self) -> anyhow::Result<u8> {
        let mut byte = [0];
        self.answers.read_exact(&mut byte).map_err(died)?;
        Ok(byte[0])
    }

    /// Closes the pipe, which ends the guardian.
    fn wait(&mut self) {
        drop(self.control.take());
        // Whoever needs what it has undone looks whether it is.
        let _ = self.child.wait();
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.wait();
    }
}

/// Not with the error as its cause: a broken pipe is taken for a reader of the stream that has gone away.
fn died(error: io::Error) -> anyhow::Error {
    anyhow!("the guardian process has died ({error}); what it guarded was undone, try again")
}

fn spawn(charge: &Charge) -> anyhow::Result<Child> {
    // Not the path: the program may have been replaced since.
    let program =
        fs::read_link("/proc/self/exe").map(|_| "/proc/self/exe").context("/proc is not mounted")?;
    Ok(Command::new(program)
        .arg(COMMAND)
        .arg(serde_json::to_string(charge)?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?)
}

fn set_inherited(descriptors: &[BorrowedFd], inherited: bool) -> anyhow::Result<()> {
    for fd in descriptors {
        let mut flags = fcntl_getfd(fd)?;
        flags.set(FdFlags::CLOEXEC, !inherited);
        fcntl_setfd(fd, flags)?;
    }
    Ok(())
}
