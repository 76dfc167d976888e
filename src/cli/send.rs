// SPDX-License-Identifier: GPL-3.0-or-later
//! `era send`: a consistent copy of a tracked device, or of what changed on it, as a stream.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;

use super::{interrupt, print_json, size};
use crate::blockio::MAX_DEPTH;
use crate::device::cursor::Cursor;
use crate::device::dm::Dm;
use crate::device::eratab::Name;
use crate::device::send::{Estimate, Request, Sent, Told, estimate, send};
use crate::device::tracked::Tracked;
use crate::report::{self, When};
use crate::stream::{Consistency, HashListReader, Kind};
use crate::sys::raw_stdout;

const EXAMPLES: &str = "\
Examples:
  A first, full copy, and from then on what has changed:
      era send data | ssh backup era apply --require-end /srv/data.img
      era send data --since CURSOR | ssh backup era apply --require-end \\
          /srv/data.img
  How much would it be?
      era send data --since CURSOR --estimate

The cursor for the next time is printed at the end, and is in the stream, where
`era inspect` shows it. Use it only if the whole pipeline has succeeded.

Consistency:
  snapshot  the copy is the device at one moment; writes wait for some
            milliseconds. Default where the device has space for snapshots
  freeze    the same; writes wait until the last pass is copied, at most for
            --freeze-timeout. Default elsewhere
  none      writes wait for a moment; each block is right, or will be sent
            again, but blocks are of different moments
When much has changed, passes without a cut come first, so that the last one is
short.

Exit status: 0 done; 1 the cursor is of no use, a full copy is needed; 2 an
error: the stream has no end and must not be used.";

/// Write a consistent copy of a tracked device to stdout
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Tracked device, or a dm-era device made by hand
    pub(super) name: Name,

    /// Send what changed since this cursor; everything where not given
    #[arg(long, value_name = "CURSOR")]
    since: Option<Cursor>,

    /// Send everything where the cursor is of no use
    #[arg(long)]
    full: bool,

    /// Send what is not as in a list of hashes on stdin, as era hashes writes it
    #[arg(long, conflicts_with_all = ["since", "full", "estimate"])]
    compare: bool,

    /// Compare what has not changed with a list of hashes on stdin, as era hashes writes it, and say in the stream
    /// what differs
    #[arg(long, conflicts_with_all = ["compare", "estimate"])]
    audit: bool,

    /// Only that: the stream holds nothing else
    #[arg(long, requires = "audit")]
    audit_only: bool,

    #[command(flatten)]
    pub(super) how: How,

    /// Do not name the cursor for the next time
    #[arg(long)]
    no_cursor: bool,

    /// Send whole units of this size where anything in them changed: 1M for a restic repository
    #[arg(long, value_name = "SIZE", value_parser = parse_whole, conflicts_with_all = ["compare", "audit"])]
    whole: Option<u64>,

    /// Compress with zstd at this level, from 1 (fast) to 19 (small)
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(i32).range(1..=19))]
    compress: Option<i32>,

    /// Keep so many reads under way at a time [default: 32]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_DEPTH)))]
    pub(super) queue_depth: Option<u32>,

    /// Send nothing, print how much it would be
    #[arg(long)]
    estimate: bool,

    /// With --estimate: print one JSON object
    #[arg(long, requires = "estimate")]
    json: bool,

    /// Show progress even where stderr is not a terminal
    #[arg(long)]
    progress: bool,
}

/// How the copy is made; `era backup` hands it on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct How {
    /// What the copy is to be
    #[arg(long, value_enum)]
    pub(super) consistency: Option<Wanted>,

    /// How long writes may be held back; 500ms, 30s, 2m [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(super) freeze_timeout: Option<Duration>,

    /// How many passes there may be, the last one included [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_passes: Option<u32>,
}

impl How {
    /// The limit, or the usual one.
    pub(super) fn freeze_timeout(&self) -> Duration {
        self.freeze_timeout.unwrap_or(Duration::from_secs(30))
    }

    /// The number, or the usual one.
    pub(super) fn max_passes(&self) -> u32 {
        self.max_passes.unwrap_or(10)
    }

    /// With what another has where this has nothing.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            consistency: self.consistency.or(other.consistency),
            freeze_timeout: self.freeze_timeout.or(other.freeze_timeout),
            max_passes: self.max_passes.or(other.max_passes),
        }
    }

    /// The same as arguments of a command line.
    pub(super) fn as_arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            "--freeze-timeout".into(),
            format!("{}ms", self.freeze_timeout().as_millis()),
            "--max-passes".into(),
            self.max_passes().to_string(),
        ];
        if let Some(name) = self.consistency.and_then(|wanted| wanted.to_possible_value()) {
            arguments.extend(["--consistency".into(), name.get_name().to_owned()]);
        }
        arguments
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Wanted {
    Snapshot,
    Freeze,
    None,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let request = Request {
        since: args.since,
        full: args.full,
        consistency: args.how.consistency.map(|wanted| match wanted {
            Wanted::Snapshot => Consistency::Snapshot,
            Wanted::Freeze => Consistency::Freeze,
            Wanted::None => Consistency::None,
        }),
        freeze_limit: args.how.freeze_timeout(),
        max_passes: args.how.max_passes(),
        whole: args.whole.unwrap_or(1),
        compress: args.compress,
        progress: if args.progress { When::Always } else { When::OnTerminal },
    };
    if !args.estimate && io::stdout().is_terminal() {
        bail!("the stream is not for terminals; redirect stdout to a file or a pipe");
    }
    let dm = Dm::open()?;
    interrupt::explain("the stream is incomplete; do not use it".into())?;
    let tracked = Tracked::find(&dm, &args.name)?;
    if args.estimate {
        return print_estimate(args, &estimate(&dm, &tracked, &request)?);
    }
    let list = || HashListReader::new(io::BufReader::with_capacity(1 << 16, io::stdin()));
    let told = match args {
        Args { compare: true, .. } => Told::Compare(list()?),
        Args { audit_only: true, .. } => Told::OnlyAudit(list()?),
        Args { audit: true, .. } => Told::Audit(list()?),
        _ => Told::Nothing,
    };
    let result = send(&dm, &tracked, &request, told, raw_stdout());
    // A guardian that had to undo something has done so; this is for when it could not.
    let recovered = tracked.recover(&dm);
    let sent = result?;
    recovered?;
    tell(&tracked, &sent, !args.no_cursor);
    Ok(())
}

fn print_estimate(args: &Args, estimate: &Estimate) -> anyhow::Result<()> {
    if args.json {
        return print_json(estimate);
    }
    writeln!(
        io::stdout(),
        "{}: {} blocks, {} of {}",
        kind(estimate.kind),
        estimate.blocks,
        report::size(estimate.bytes),
        report::size(estimate.device_bytes)
    )
    .context("cannot write to stdout")
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Full => "full",
        Kind::Increment => "increment",
        Kind::Undo => "undo",
        Kind::Difference => "difference",
    }
}

fn tell(tracked: &Tracked, sent: &Sent, with_cursor: bool) {
    let bytes = sent.passes.iter().map(|pass| pass.bytes).sum();
    let consistency = match sent.consistency {
        Consistency::Snapshot => "one moment, from a snapshot",
        Consistency::Freeze => "one moment, frozen",
        Consistency::None | Consistency::Unknown => "not of one moment",
    };
    report::note(format_args!(
        "{}: {}, {} in {} {}, {consistency}; writes waited for {:.1} ms",
        tracked.name,
        kind(sent.kind),
        report::size(bytes),
        sent.passes.len(),
        if sent.passes.len() == 1 { "pass" } else { "passes" },
        sent.held.as_secs_f64() * 1000.0
    ));
    if with_cursor {
        report::note(format_args!("{}: next time: --since {}", tracked.name, sent.next));
    }
}

fn parse_whole(text: &str) -> Result<u64, String> {
    match size::parse(text)? {
        bytes if bytes.is_power_of_two() && (4096..=1 << 30).contains(&bytes) => Ok(bytes),
        _ => Err("a power of two from 4K to 1G is needed".into()),
    }
}

/// A number and a unit: ms, s, m or h.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(milliseconds))
        .filter(|&ms| ms > 0 && ms <= 24 * 3_600_000)
        .map(Duration::from_millis)
        .ok_or_else(|| "a number and a unit are needed, such as 500ms, 30s or 2m; at most 24h".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "30", "s", "0s", "-1s", "1.5s", "1d", "25h", "99999999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
