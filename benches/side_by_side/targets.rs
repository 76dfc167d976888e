// SPDX-License-Identifier: GPL-3.0-or-later
//! What must hold on any machine, and what is hoped for.
//!
//! Nothing must be slower than what it replaces, memory is bounded, and cost grows with what changed alone. By how much something is faster
//! depends on the disk and the processors: that is told of, and nothing fails for it.

use crate::table::mib;
use crate::work::{Standing, Standings};
use crate::works::compressed::{CLASSIC_GZIP, COMPRESSED, PLAIN};
use crate::works::instead::{BORG_AGAIN, RESTIC_AGAIN};
use crate::works::repository::{
    APPLY, APPLY_FIRST, CP, READ, READ_CACHED, READ_MOUNTED, RECEIVE, RECEIVE_FIRST, RESTORE, VERIFY,
};
use crate::works::restic::AGAIN;
use crate::works::{DD_4M, DD_64K, ERA_CHANGED, ERA_COPY, ERA_COPY_V2};

/// How much slower than its rival a contestant may come out by chance.
const TOLERANCE: f64 = 0.05;

/// Counts for all of era, whatever the size of the device. It includes the bitmap of changed blocks, 32 MiB for 268 million
/// blocks, and the two batches of which a repository takes one while the one before it is written.
const MOST_MEMORY: u64 = 64 << 20;

/// How much more may a large device cost than a small one with the same changes, or ten times the changes than ten times as much as
/// they.
const FLAT: f64 = 1.3;

/// The same for repositories of restic's format, whose trees and index are in memory, and packs that are being filled.
const MOST_MEMORY_RESTIC: u64 = 512 << 20;

/// How much more a run may cost on 16 TiB than on 1 TiB, there.
const FLAT_RESTIC: f64 = 1.5;

pub struct Verdict {
    pub met: bool,
    /// Whether it must be met.
    pub must: bool,
    pub what: String,
}

/// A contestant, its rival, and how many times as fast it should be at least.
struct Hope(&'static str, &'static str, f64);

const HOPES: [Hope; 12] = [
    Hope(ERA_COPY, DD_4M, 0.9),
    Hope(ERA_COPY_V2, ERA_COPY, 0.9),
    Hope(COMPRESSED, CLASSIC_GZIP, 12.0),
    Hope(COMPRESSED, PLAIN, 0.9),
    Hope(ERA_CHANGED, DD_4M, 1.0 / 1.5),
    Hope(RECEIVE_FIRST, APPLY_FIRST, 0.5),
    Hope(RECEIVE, APPLY, 0.5),
    Hope(VERIFY, READ, 0.8),
    Hope(RESTORE, CP, 0.8),
    Hope(READ_MOUNTED, READ_CACHED, 0.5),
    Hope(AGAIN, RESTIC_AGAIN, 10.0),
    Hope(AGAIN, BORG_AGAIN, 10.0),
];

pub fn judge(all: &[Standings]) -> Vec<Verdict> {
    let mut verdicts: Vec<_> = all.iter().filter_map(keeps_up).collect();
    verdicts.extend(all.iter().flat_map(beats_classic));
    verdicts.extend(all.iter().flat_map(is_flat));
    verdicts.extend(all.iter().flat_map(hopes));
    let (restic, others): (Vec<_>, Vec<_>) = all.iter().partition(|work| work.name.starts_with("restic-"));
    verdicts.extend(memory(&others, MOST_MEMORY));
    verdicts.extend(memory(&restic, MOST_MEMORY_RESTIC));
    verdicts
}

/// Copying a whole device is not slower than the plain tool with a common block size.
fn keeps_up(standings: &Standings) -> Option<Verdict> {
    let (own, rival) = (standings.of(ERA_COPY)?, standings.of(DD_64K)?);
    Some(verdict(standings, own, rival, 1.0 - TOLERANCE, true))
}

/// Nothing is slower than the same with the classic tools.
fn beats_classic(standings: &Standings) -> Vec<Verdict> {
    let pairs = standings.contestants.iter().filter_map(|rival| {
        let own = standings.of(&rival.label.strip_prefix("classic/")?.replace("classic/", ""))?;
        Some(verdict(standings, own, rival, 1.0 - TOLERANCE, true))
    });
    pairs.collect()
}

fn hopes(standings: &Standings) -> Vec<Verdict> {
    let hopes = HOPES.iter().filter_map(|Hope(own, rival, least)| {
        Some(verdict(standings, standings.of(own)?, standings.of(rival)?, *least, false))
    });
    hopes.collect()
}

/// The first is a small device, the second a large one, the third has a tenth of the changes of that.
fn is_flat(standings: &Standings) -> Vec<Verdict> {
    if let ("restic-flat", [small, large]) = (standings.name, &standings.contestants[..]) {
        return vec![verdict(standings, large, small, 1.0 / FLAT_RESTIC, true)];
    }
    if !standings.name.starts_with("flat-") {
        return Vec::new();
    }
    // A large device has a larger bitmap on the disk, and little else is done: it shows only beside the rest of a backup.
    let must = standings.name == "flat-receive";
    let mut verdicts = Vec::new();
    if let [small, large, few] = &standings.contestants[..] {
        verdicts.push(verdict(standings, large, small, 1.0 / FLAT, must));
        verdicts.push(verdict(standings, large, few, 0.1 / FLAT, must));
    }
    verdicts
}

fn verdict(standings: &Standings, own: &Standing, rival: &Standing, least: f64, must: bool) -> Verdict {
    let ratio = own.ratio_to(rival);
    Verdict {
        met: ratio >= least,
        must,
        what: format!(
            "{}: {ratio:.2} times as fast, at least {least:.2}\n           {}\n           as {}",
            standings.title, own.label, rival.label
        ),
    }
}

fn memory(all: &[&Standings], most: u64) -> Option<Verdict> {
    let standings = all.iter().flat_map(|work| &work.contestants);
    let peaks = standings.flat_map(|standing| standing.peaks.iter().map(|peak| (peak, &standing.label)));
    let own = peaks.filter(|(peak, _)| peak.program.starts_with("era") && peak.program != "era_invalidate");
    let (peak, label) = own.max_by_key(|(peak, _)| peak.bytes)?;
    Some(Verdict {
        met: peak.bytes < most,
        must: true,
        what: format!("most memory: {:.1} MiB, below {:.0} MiB ({label})", mib(peak.bytes), mib(most)),
    })
}
