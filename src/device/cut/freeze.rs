// SPDX-License-Identifier: GPL-3.0-or-later
//! A cut with frozen filesystems: one moment of the device for as long as they are frozen.
//!
//! The suspend and resume while they are frozen waits for what goes past the filesystems, too. Nothing holds such
//! writes back afterwards: they are what the next increment begins with.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rustix::io::Errno;

use super::barrier::suspend_and_resume;
use super::{held_too_long, issue, next_era};
use crate::device::dm::Dm;
use crate::device::failpoint;
use crate::device::guardian::{Guardian, Verdict};
use crate::device::mounts::{self, Mount};
use crate::device::traces::{Mark, Traces};
use crate::device::tracked::Tracked;
use crate::sys::{self, LockedMemory};
use crate::units::Era;

/// How a freeze ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// When it should: what was read until then is of one moment.
    InTime,
    /// As the limit had passed.
    LimitPassed,
    /// By somebody else, who knows when.
    ByOthers,
}

/// Frozen filesystems. Dropped, they are thawed by the guardian.
pub struct Freeze<'a> {
    tracked: &'a Tracked,
    guardian: Guardian,
    mounts: Vec<Mount>,
    /// How many of them, from the first, are frozen by us.
    frozen: usize,
    begin: Instant,
    limit: Duration,
    /// For how long it lasted, and how it ended.
    ended: Option<(Duration, Ended)>,
    /// The era that the next increment begins with.
    pub next: Era,
}

impl<'a> Freeze<'a> {
    /// Freezes what is mounted on the device; `None` where nothing is.
    pub fn begin(dm: &Dm, tracked: &'a Tracked, limit: Duration) -> anyhow::Result<Option<Self>> {
        let next = next_era(dm, tracked)?;
        let mounts = mounts::on(tracked.number)?;
        if mounts.is_empty() {
            return Ok(None);
        }
        let steps = suspend_and_resume(&tracked.name)?;
        let undo = tracked.emergency()?;
        let mut guardian = Guardian::start(tracked, &mounts, limit)?;
        failpoint::reach("guarded");
        let traces = Traces::of(&tracked.name);
        traces.leave(Mark::Frozen)?;
        traces.leave(Mark::Suspended)?;
        for mount in &mounts {
            // What is written out now need not be while everybody waits.
            rustix::fs::syncfs(&mount.directory).with_context(|| mount.path.display().to_string())?;
        }
        let memory = LockedMemory::new().context("cannot lock memory; see ulimit -l")?;
        let begin = Instant::now();
        guardian.arm()?;
        failpoint::reach("armed");
        let mut freeze = Self { tracked, guardian, mounts, frozen: 0, begin, limit, ended: None, next };
        let result = freeze.freeze_all().and_then(|()| issue(dm, tracked, &steps, &undo));
        drop(memory);
        if let Err(e) = result {
            freeze.thaw()?;
            traces.wipe(Mark::Frozen)?;
            traces.wipe(Mark::Suspended)?;
            freeze.guardian.dismiss()?;
            return Err(e);
        }
        Ok(Some(freeze))
    }

    /// Ends the freeze in time. To be asked now and then during the copy.
    pub fn thaw_if_due(&mut self) -> anyhow::Result<()> {
        // A little before the guardian would do it.
        if self.ended.is_none() && self.begin.elapsed() >= self.limit.mul_f32(0.9) {
            self.thaw()?;
            self.ended = self.ended.map(|(held, _)| (held, Ended::LimitPassed));
        }
        Ok(())
    }

    /// Ends the freeze. Says for how long it lasted, and whether it lasted until now.
    pub fn thaw(&mut self) -> anyhow::Result<(Duration, Ended)> {
        if let Some(ended) = self.ended {
            return Ok(ended);
        }
        let mut others = false;
        for mount in &self.mounts[..self.frozen] {
            match sys::thaw(&mount.directory) {
                // It was thawed before: by the guardian, which says so, or by another program.
                Err(e) if Errno::from_io_error(&e) == Some(Errno::INVAL) => others = true,
                result => result.with_context(|| format!("{}: cannot thaw", mount.path.display()))?,
            }
        }
        let held = self.begin.elapsed();
        failpoint::reach("thawed");
        let ended = match self.guardian.disarm()? {
            Verdict::LimitPassed => Ended::LimitPassed,
            Verdict::InTime if others => Ended::ByOthers,
            Verdict::InTime => Ended::InTime,
        };
        self.ended = Some((held, ended));
        Ok((held, ended))
    }

    /// Ends it for good.
    pub fn finish(mut self) -> anyhow::Result<(Duration, Ended)> {
        let ended = self.thaw()?;
        let traces = Traces::of(&self.tracked.name);
        traces.wipe(Mark::Frozen)?;
        traces.wipe(Mark::Suspended)?;
        self.guardian.dismiss()?;
        Ok(ended)
    }

    /// Freezes one after another, and stops at the first that cannot be.
    fn freeze_all(&mut self) -> anyhow::Result<()> {
        for mount in &self.mounts {
            let path = mount.path.display();
            // Whoever stood still here for so long would freeze what the guardian has thawed.
            if self.begin.elapsed() >= self.limit {
                bail!("{}", held_too_long(&self.tracked.name));
            }
            sys::freeze(&mount.directory).map_err(|e| match Errno::from_io_error(&e) {
                Some(Errno::BUSY) => anyhow!(
                    "{path}: is frozen already by another program; fsfreeze --unfreeze {path} ends that"
                ),
                Some(Errno::OPNOTSUPP) => {
                    anyhow!("{path}: this filesystem cannot be frozen; use --consistency snapshot or none")
                }
                _ => anyhow::Error::from(e).context(format!("{path}: cannot freeze")),
            })?;
            self.frozen += 1;
            failpoint::reach("frozen");
        }
        Ok(())
    }
}
