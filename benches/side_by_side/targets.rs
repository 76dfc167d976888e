// SPDX-License-Identifier: GPL-3.0-or-later
//! What must hold on any machine.

use crate::table::mib;
use crate::work::Standings;
use crate::works::{DD_64K, ERA_COPY};

/// How much slower than its rival a contestant may come out by chance.
const TOLERANCE: f64 = 0.05;

/// Counts for all of era, whatever the size of the device. It includes the bitmap of changed blocks: 32 MiB
/// for 268 million blocks.
const MOST_MEMORY: u64 = 64 << 20;

pub struct Verdict {
    pub met: bool,
    pub what: String,
}

pub fn judge(all: &[Standings]) -> Vec<Verdict> {
    let mut verdicts: Vec<_> = all.iter().filter_map(keeps_up).collect();
    verdicts.extend(memory(all));
    verdicts
}

/// Copying a whole device is not slower than the plain tool with a common block size.
fn keeps_up(standings: &Standings) -> Option<Verdict> {
    let (own, rival) = (standings.of(ERA_COPY)?, standings.of(DD_64K)?);
    let ratio = own.ratio_to(rival);
    Some(Verdict {
        met: ratio >= 1.0 - TOLERANCE,
        what: format!("{}: era_copy is {ratio:.2} times as fast as dd bs=64K iflag=direct", standings.title),
    })
}

fn memory(all: &[Standings]) -> Option<Verdict> {
    let standings = all.iter().flat_map(|work| &work.contestants);
    let peaks = standings.flat_map(|standing| standing.peaks.iter().map(|peak| (peak, &standing.label)));
    let (peak, label) =
        peaks.filter(|(peak, _)| peak.program.starts_with("era")).max_by_key(|(peak, _)| peak.bytes)?;
    Some(Verdict {
        met: peak.bytes < MOST_MEMORY,
        what: format!(
            "most memory of any era: {:.1} MiB, below {:.0} MiB ({label})",
            mib(peak.bytes),
            mib(MOST_MEMORY)
        ),
    })
}
