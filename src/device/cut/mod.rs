// SPDX-License-Identifier: GPL-3.0-or-later
//! The cut: the moment of a device that a backup is of.
//!
//! A write to a block that is marked already passes dm-era without waiting, so it can be under way while the era rolls
//! over and be seen by neither this list of changes nor the next. Therefore every cut has a moment in
//! which all earlier writes have completed and the era ends: a suspend and resume of the tracked device. Then:
//!
//! - `barrier`: nothing else. What is copied after it is of many moments, but each block is right or is marked in an era
//!   that the next increment begins with.
//! - `snapshot`: while suspended, the layer below is swapped for the origin of a snapshot. The copy is of one moment, and
//!   writes go on.
//! - `freeze`: the filesystem is frozen before and thawed when the copy is done. The copy is of one moment, and writes wait.
//!
//! The next cursor is taken from the era before the cut, plus one: an era that somebody else begins in between makes
//! the next increment larger, never smaller.
//!
//! While anything is suspended, this process does nothing but ioctls that were made ready before, with its memory locked:
//! the root filesystem may be what waits. A guardian process undoes everything if this one cannot.

mod barrier;
mod emergency;
mod freeze;
mod snapshot;

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rustix::io::Errno;

pub use barrier::barrier;
pub use emergency::Emergency;
pub use freeze::{Ended, Freeze};
pub use snapshot::{Lost, Snapshot};

use super::dm::Dm;
use super::failpoint;
use super::guardian::{Guardian, Verdict};
use super::room;
use super::tracked::Tracked;
use crate::sys::{DmRequest, LockedMemory};
use crate::units::Era;

/// The cursor's era, if the cut were now, and whether there may be one: it must be possible to resume the device.
fn next_era(dm: &Dm, tracked: &Tracked) -> anyhow::Result<Era> {
    let status = dm.era_status(&tracked.name)?;
    room::check(tracked, &status)?;
    let next = status.era.checked_add(1).with_context(|| {
        format!("{}: the last of all eras has come; remove tracking and create it again", tracked.name)
    })?;
    Ok(Era(next))
}

/// The moment after dm-era is resumed, the last step.
const RESUMED: &str = "resumed";

/// Something to do while writes wait, and the name of the moment after it.
type Step = (&'static str, DmRequest);

/// Issues requests one after another with nothing in between. Where one fails, all is undone.
fn issue(dm: &Dm, tracked: &Tracked, steps: &[Step], undo: &Emergency) -> anyhow::Result<()> {
    for (step, request) in steps {
        let result = dm.issue(request);
        if let Err(e) = result {
            // Of a suspend that failed, nothing is to be concluded for the resume.
            let failure = (*step == RESUMED).then_some(&e);
            // The first error is the one to tell of. The guardian tries again.
            let _ = undo.issue(dm, failure);
            return Err(explain(e, &tracked.name, step));
        }
        failpoint::reach(step);
    }
    Ok(())
}

fn explain(error: io::Error, name: &str, step: &str) -> anyhow::Error {
    match Errno::from_io_error(&error) {
        Some(Errno::INTR) => anyhow!(
            "{name}: writes that were under way did not complete within the limit; a slow disk needs a longer \
             --freeze-timeout"
        ),
        Some(Errno::BUSY) => anyhow!(
            "{name}: cannot be suspended: its filesystem is frozen already by another program; fsfreeze --unfreeze ends \
             that"
        ),
        _ => anyhow::Error::from(error).context(format!("{name}: step {step:?} of the cut failed")),
    }
}

/// Holds writes back for some steps, under a guardian; says for how long.
fn hold(dm: &Dm, tracked: &Tracked, guardian: &mut Guardian, steps: &[Step]) -> anyhow::Result<Duration> {
    let undo = tracked.emergency()?;
    let memory = LockedMemory::new().context("cannot lock memory; see ulimit -l")?;
    let begin = Instant::now();
    guardian.arm()?;
    failpoint::reach("armed");
    let result = issue(dm, tracked, steps, &undo);
    let held = begin.elapsed();
    let verdict = guardian.disarm();
    drop(memory);
    result?;
    match verdict? {
        Verdict::InTime => Ok(held),
        Verdict::LimitPassed => bail!("{}", held_too_long(&tracked.name)),
    }
}

fn held_too_long(name: &str) -> String {
    format!(
        "{name}: writes were held back for longer than the limit, and were let through; try again, or with a longer \
         --freeze-timeout"
    )
}
