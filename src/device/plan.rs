// SPDX-License-Identifier: GPL-3.0-or-later
//! How many passes to make before the cut. No I/O.
//!
//! A cut has to be short: a snapshot overflows when too much is written while it is read, and a frozen
//! filesystem lets nobody write. So when much is to be sent, it is sent while the device is in use, then what changed
//! meanwhile, and so on, as in the live migration of virtual machines; the cut sends what little is left.

use std::time::Duration;

/// What is always small enough for a cut, in bytes.
const SMALL: u64 = 64 << 20;

/// What limits the cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Space for a snapshot, in bytes.
    Space(u64),
    /// How long writes may wait.
    Time(Duration),
}

/// A pass that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// What it sent, in bytes.
    pub bytes: u64,
    /// How long it took.
    pub duration: Duration,
    /// Whether it was to be the cut and took too long or overflowed.
    pub failed_cut: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send what changed while the device is in use.
    Pass,
    /// Send the last changes as one moment.
    Cut,
    /// It does not converge.
    GiveUp,
}

/// Decides, knowing what is to be sent now, the passes so far, and how many there may be, the cut included.
pub fn next(to_send: u64, passes: &[Pass], limit: Limit, max_passes: u32) -> Step {
    let left = (max_passes as usize).saturating_sub(passes.len());
    let last = passes.last();
    match left {
        0 => Step::GiveUp,
        // The last that is allowed may be lucky.
        1 => Step::Cut,
        _ if last.is_some_and(|pass| pass.failed_cut && overflowed(limit)) => Step::Pass,
        _ if to_send <= room(limit, last) => Step::Cut,
        // What changes during a pass is no less than what it sent: further passes would not make it less.
        _ if last.is_some_and(|pass| to_send / 4 * 5 >= pass.bytes && !pass.failed_cut) => Step::Cut,
        _ => Step::Pass,
    }
}

/// A snapshot that overflowed has not sent what it should have; a freeze that was too long has.
fn overflowed(limit: Limit) -> bool {
    matches!(limit, Limit::Space(_))
}

/// How much a cut can send without trouble. Writes during the copy are taken to be fewer than its reads; half of the
/// limit is kept for when they are not.
fn room(limit: Limit, last: Option<&Pass>) -> u64 {
    match limit {
        Limit::Space(bytes) => (bytes / 2).max(SMALL.min(bytes)),
        Limit::Time(time) => {
            let speed =
                last.map_or(0, |pass| u128::from(pass.bytes) * 1000 / pass.duration.as_millis().max(1));
            let bytes = speed * time.as_millis() / 1000 / 2;
            u64::try_from(bytes).unwrap_or(u64::MAX).max(SMALL)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const SPACE: Limit = Limit::Space(512 * MIB);
    const TIME: Limit = Limit::Time(Duration::from_secs(30));

    fn pass(mib: u64, seconds: u64) -> Pass {
        Pass { bytes: mib * MIB, duration: Duration::from_secs(seconds), failed_cut: false }
    }

    fn failed(mib: u64, seconds: u64) -> Pass {
        Pass { failed_cut: true, ..pass(mib, seconds) }
    }

    #[test]
    fn little_is_cut_at_once() {
        for limit in [SPACE, TIME] {
            assert_eq!(next(0, &[], limit, 10), Step::Cut);
            assert_eq!(next(64 * MIB, &[], limit, 10), Step::Cut);
        }
        assert_eq!(next(256 * MIB, &[], SPACE, 10), Step::Cut);
    }

    #[test]
    fn much_is_sent_in_passes_first() {
        assert_eq!(next(257 * MIB, &[], SPACE, 10), Step::Pass);
        assert_eq!(next(65 * MIB, &[], TIME, 10), Step::Pass);
        let passes = [pass(100_000, 1000)];
        assert_eq!(next(2000 * MIB, &passes, SPACE, 10), Step::Pass);
        // 100 MiB/s for half of 30 s.
        assert_eq!(next(1500 * MIB, &passes, TIME, 10), Step::Cut);
        assert_eq!(next(1501 * MIB, &passes, TIME, 10), Step::Pass);
    }

    #[test]
    fn passes_that_do_not_shrink_are_not_repeated() {
        assert_eq!(next(900 * MIB, &[pass(1000, 10)], SPACE, 10), Step::Cut);
        assert_eq!(next(700 * MIB, &[pass(1000, 10)], SPACE, 10), Step::Pass);
    }

    #[test]
    fn after_an_overflow_comes_a_pass() {
        assert_eq!(next(MIB, &[failed(100, 1)], SPACE, 10), Step::Pass);
        assert_eq!(next(MIB, &[failed(100, 1), pass(100, 1)], SPACE, 10), Step::Cut);
        // What a freeze that took too long has sent is sent.
        assert_eq!(next(MIB, &[failed(100, 1)], TIME, 10), Step::Cut);
    }

    #[test]
    fn it_ends() {
        for limit in [SPACE, TIME] {
            let mut passes = Vec::new();
            let mut steps = Vec::new();
            loop {
                let step = next(10_000 * MIB, &passes, limit, 5);
                steps.push(step);
                match step {
                    Step::GiveUp => break,
                    Step::Pass => passes.push(pass(9_000, 10)),
                    Step::Cut => passes.push(failed(9_000, 10)),
                }
            }
            assert_eq!(steps.len(), 6, "{steps:?}");
            assert_eq!(steps[4], Step::Cut);
        }
        assert_eq!(next(0, &[], SPACE, 1), Step::Cut);
        assert_eq!(next(0, &[], SPACE, 0), Step::GiveUp);
    }
}
