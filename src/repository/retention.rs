// SPDX-License-Identifier: GPL-3.0-or-later
//! Which points to keep. No I/O.
//!
//! As restic and borg do it: of each day, week, month and year its last point is kept, for as many of those that have points
//! as are asked for, beginning with the newest. A point that any rule keeps is kept. The newest point is always kept: the
//! image is that point.

use jiff::civil::ISOWeekDate;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// What to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// So many of the newest.
    pub last: u32,
    /// The last one of each of so many days.
    pub daily: u32,
    /// The same of weeks, which begin on Monday.
    pub weekly: u32,
    /// The same of months.
    pub monthly: u32,
    /// The same of years.
    pub yearly: u32,
    /// All that are no older than this before the newest that is not of the future.
    pub within: Option<SignedDuration>,
}

impl Keep {
    /// Whether it keeps nothing but the newest point: hardly what is meant.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// For each time, which are sorted, whether it is kept. One that is later than now is of a clock that was wrong, or was made up: if
/// others were too old beside it, it would take them all away.
pub fn kept(times: &[Timestamp], keep: &Keep, zone: &TimeZone, now: Timestamp) -> Vec<bool> {
    let mut kept = vec![false; times.len()];
    if let Some(last) = kept.last_mut() {
        *last = true;
    }
    let dates: Vec<_> = times.iter().map(|time| zone.to_datetime(*time).date()).collect();
    let week = |at: usize| {
        let week = ISOWeekDate::from_date(dates[at]);
        (week.year(), week.week())
    };
    keep_last_of_each(&mut kept, keep.last, |at| at);
    keep_last_of_each(&mut kept, keep.daily, |at| dates[at]);
    keep_last_of_each(&mut kept, keep.weekly, week);
    keep_last_of_each(&mut kept, keep.monthly, |at| (dates[at].year(), dates[at].month()));
    keep_last_of_each(&mut kept, keep.yearly, |at| dates[at].year());
    // Where all are of the future, it is the clock here that is wrong.
    let newest = times.iter().rev().find(|time| **time <= now).or(times.first());
    if let (Some(within), Some(newest)) = (keep.within, newest) {
        for (time, kept) in times.iter().zip(&mut kept) {
            *kept |= newest.duration_since(*time) <= within;
        }
    }
    kept
}

/// Of the points that are in the same period, the last; for so many periods.
fn keep_last_of_each<P: PartialEq>(kept: &mut [bool], count: u32, period: impl Fn(usize) -> P) {
    let mut left = count;
    let mut before = None;
    for at in (0..kept.len()).rev() {
        let now = Some(period(at));
        if now == before {
            continue;
        }
        if left == 0 {
            return;
        }
        left -= 1;
        before = now;
        kept[at] = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-02-01T04:00:00Z";

    /// Which of these times are kept, in UTC, as they are written.
    fn of<'a>(times: &[&'a str], keep: Keep) -> Vec<&'a str> {
        let parsed: Vec<Timestamp> =
            times.iter().map(|time| format!("{time}:00Z").parse().unwrap()).collect();
        let kept = kept(&parsed, &keep, &TimeZone::UTC, NOW.parse().unwrap());
        times.iter().zip(kept).filter_map(|(time, kept)| kept.then_some(*time)).collect()
    }

    const TIMES: [&str; 8] = [
        "2025-01-15T03:00",
        "2025-12-28T03:00",
        "2025-12-31T03:00",
        "2026-01-01T03:00",
        "2026-01-01T15:00",
        "2026-01-02T03:00",
        "2026-01-05T03:00",
        "2026-02-01T03:00",
    ];

    #[test]
    fn nothing_asked_for_keeps_the_newest() {
        assert_eq!(of(&TIMES, Keep::default()), ["2026-02-01T03:00"]);
        assert_eq!(of(&[], Keep::default()), [""; 0]);
    }

    #[test]
    fn the_newest() {
        let keep = Keep { last: 3, ..Keep::default() };
        assert_eq!(of(&TIMES, keep), ["2026-01-02T03:00", "2026-01-05T03:00", "2026-02-01T03:00"]);
        assert_eq!(of(&TIMES, Keep { last: 100, ..Keep::default() }), TIMES);
    }

    #[test]
    fn of_each_day_the_last_and_days_without_points_do_not_count() {
        let keep = Keep { daily: 4, ..Keep::default() };
        assert_eq!(
            of(&TIMES, keep),
            ["2026-01-01T15:00", "2026-01-02T03:00", "2026-01-05T03:00", "2026-02-01T03:00"]
        );
    }

    #[test]
    fn weeks_begin_on_monday_and_cross_years() {
        // 2025-12-29 to 2026-01-04 is one week.
        let keep = Keep { weekly: 4, ..Keep::default() };
        assert_eq!(
            of(&TIMES, keep),
            ["2025-12-28T03:00", "2026-01-02T03:00", "2026-01-05T03:00", "2026-02-01T03:00"]
        );
    }

    #[test]
    fn months_and_years() {
        let keep = Keep { monthly: 3, ..Keep::default() };
        assert_eq!(of(&TIMES, keep), ["2025-12-31T03:00", "2026-01-05T03:00", "2026-02-01T03:00"]);
        let keep = Keep { yearly: 9, ..Keep::default() };
        assert_eq!(of(&TIMES, keep), ["2025-12-31T03:00", "2026-02-01T03:00"]);
    }

    #[test]
    fn within_counts_from_the_newest() {
        let keep = Keep { within: Some(SignedDuration::from_hours(27 * 24)), ..Keep::default() };
        assert_eq!(of(&TIMES, keep), ["2026-01-05T03:00", "2026-02-01T03:00"]);
    }

    #[test]
    fn a_point_of_the_future_takes_no_others_away() {
        let keep = Keep { within: Some(SignedDuration::from_hours(27 * 24)), ..Keep::default() };
        let times: Vec<_> = TIMES.into_iter().chain(["2040-01-01T00:00"]).collect();
        assert_eq!(of(&times, keep), ["2026-01-05T03:00", "2026-02-01T03:00", "2040-01-01T00:00"]);
        let of_the_future = ["2040-01-01T00:00", "2040-01-02T00:00", "2041-01-01T00:00"];
        assert_eq!(of(&of_the_future, keep), of_the_future);
    }

    #[test]
    fn rules_add_up() {
        let keep = Keep { last: 1, daily: 2, yearly: 2, ..Keep::default() };
        assert_eq!(of(&TIMES, keep), ["2025-12-31T03:00", "2026-01-05T03:00", "2026-02-01T03:00"]);
    }

    #[test]
    fn a_day_is_one_of_the_zone() {
        let times: Vec<Timestamp> =
            ["2026-03-01T22:30:00Z", "2026-03-01T23:30:00Z"].iter().map(|t| t.parse().unwrap()).collect();
        let keep = Keep { daily: 9, ..Keep::default() };
        let now = times[1];
        assert_eq!(kept(&times, &keep, &TimeZone::UTC, now), [false, true]);
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        assert_eq!(kept(&times, &keep, &zone, now), [true, true]);
    }
}
