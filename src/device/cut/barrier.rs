// SPDX-License-Identifier: GPL-3.0-or-later
//! A cut without a moment: every write that came before it has completed when it is over.

use std::time::Duration;

use super::{hold, next_era};
use crate::device::dm::Dm;
use crate::device::failpoint;
use crate::device::guardian::Guardian;
use crate::device::traces::{Mark, Traces};
use crate::device::tracked::Tracked;
use crate::sys::DmRequest;
use crate::units::Era;

/// Waits for all writes under way and ends the era. Returns the era that the next increment begins with, and for how
/// long writes were held back.
pub fn barrier(dm: &Dm, tracked: &Tracked, limit: Duration) -> anyhow::Result<(Era, Duration)> {
    let next = next_era(dm, tracked)?;
    let steps = suspend_and_resume(&tracked.name)?;
    let mut guardian = Guardian::start(tracked, &[], limit)?;
    failpoint::reach("guarded");
    let traces = Traces::of(&tracked.name);
    traces.leave(Mark::Suspended)?;
    let held = hold(dm, tracked, &mut guardian, &steps)?;
    traces.wipe(Mark::Suspended)?;
    guardian.dismiss()?;
    Ok((next, held))
}

/// The filesystem is left alone: it need not be in order, the writes must only have completed.
pub(super) fn suspend_and_resume(name: &str) -> std::io::Result<[(&'static str, DmRequest); 2]> {
    Ok([("suspended", DmRequest::suspend(name, false)?), ("resumed", DmRequest::resume(name)?)])
}
