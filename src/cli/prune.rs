// SPDX-License-Identifier: GPL-3.0-or-later
//! `era prune`: lets old points go.

use std::path::PathBuf;

use anyhow::bail;
use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::restic;
use crate::report;
use crate::repository::prune::prune;
use crate::repository::retention::Keep;
use crate::repository::{Access, Repository};

const EXAMPLES: &str = "\
Examples:
  era prune /srv/backups/data --keep-daily 7 --keep-weekly 4 --keep-monthly 12
  era prune /srv/backups/data --keep-within 30d --dry-run
  era prune restic:/srv/restic --device data --keep-daily 7

Of each day, week, month or year that has points the last one is kept, for as many
of those as asked for, counted from the newest; days and so on are those of this
machine's time zone. What any rule keeps is kept, and so is the newest point
always. A point in the middle goes by merging what leads back to its neighbours.

In a restic repository only points of this device go, whatever else it holds. What no
snapshot needs any more is marked when it is a week old, and freed by a run a week after
that: a backup that is under way may need it yet.";

/// Take points away from a repository, but those to keep
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Directory of the repository, or restic:URL
    #[arg(value_name = "REPO")]
    repository: PathBuf,

    /// The device, by name or uuid, where a restic repository has points of several
    #[arg(long, value_name = "NAME")]
    device: Option<String>,

    #[command(flatten)]
    keep: KeepArgs,

    /// Take nothing away, say what would go
    #[arg(long)]
    dry_run: bool,
}

/// What to keep.
#[derive(Clone, Copy, clap::Args)]
pub(super) struct KeepArgs {
    /// Keep the newest N points
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
    keep_last: u32,

    /// Keep the last point of each of N days
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
    keep_daily: u32,

    /// Keep the last point of each of N weeks
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
    keep_weekly: u32,

    /// Keep the last point of each of N months
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
    keep_monthly: u32,

    /// Keep the last point of each of N years
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
    keep_yearly: u32,

    /// Keep all points that are no older than this before the newest (of the past): 12h, 30d, 8w
    #[arg(long, value_name = "TIME", value_parser = parse_within)]
    keep_within: Option<SignedDuration>,
}

impl KeepArgs {
    /// As a rule.
    pub(super) fn keep(&self) -> Keep {
        Keep {
            last: self.keep_last,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            yearly: self.keep_yearly,
            within: self.keep_within,
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let keep = args.keep.keep();
    if keep.is_empty() {
        bail!("nothing says what to keep: pass --keep-last, --keep-daily or another of these");
    }
    if let Some(place) = restic::place_of(args.repository.as_os_str())? {
        return restic::prune(&place, args.device.as_deref(), &keep, args.dry_run);
    }
    restic::refuse_device(args.device.as_deref(), &args.repository)?;
    let access = if args.dry_run { Access::Read } else { Access::Prune };
    let repository = Repository::open(&args.repository, access)?;
    let verb = if args.dry_run { "would go" } else { "goes" };
    let mut gone = 0;
    let left = prune(&repository, &keep, &TimeZone::system(), |point| {
        println!("point {} of {} {verb}", point.id, point.time);
        gone += 1;
        true
    })?;
    let count = left.points.len();
    report::note(format_args!("{}: {count} of {} points are kept", args.repository.display(), count + gone));
    Ok(())
}

/// A number of hours, days or weeks.
pub(super) fn parse_within(text: &str) -> Result<SignedDuration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let hours = match unit {
        "h" => 1,
        "d" => 24,
        "w" => 7 * 24,
        _ => 0,
    };
    number
        .parse::<i64>()
        .ok()
        .and_then(|number| number.checked_mul(hours))
        .filter(|hours| (1..=24 * 366 * 1000).contains(hours))
        .map(SignedDuration::from_hours)
        .ok_or_else(|| "a number and a unit are needed, such as 12h, 30d or 8w".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(parse_within("30d"), Ok(SignedDuration::from_hours(720)));
        assert_eq!(parse_within("1w"), Ok(SignedDuration::from_hours(168)));
        for bad in ["", "30", "d", "0d", "-1d", "1m", "99999999999999999999w", "9999999999w"] {
            assert!(parse_within(bad).is_err(), "{bad}");
        }
    }
}
