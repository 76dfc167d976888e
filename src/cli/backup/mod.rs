// SPDX-License-Identifier: GPL-3.0-or-later
//! `era backup`: the whole job.

use anyhow::Context;

use super::{print_json, send, size};
use crate::remote::backup::{Done, Job, backup};
use crate::remote::peer::Reach;
use crate::remote::place::{SourcePlace, TargetPlace};
use crate::report::{self, When};

const EXAMPLES: &str = "\
Examples:
  Of a device of another host, into a repository here:
      era backup root@vm1:root /srv/backups/vm1
  Of a device here, to a backup host:
      era backup data backup@store:/srv/backups/data
  Both here:
      era backup data /mnt/usb/data

The first run copies everything, the later ones what changed since the last point.
If tracking began anew, or the first copy broke off, everything is read, but only
what is different is sent. ssh is used as it is set up, keys, ports and jump hosts
in ~/.ssh/config included; both machines need era.

Exit status: 0 a point was added; 2 an error, and none was.";

/// Add a point to a repository: the device as it is now
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Tracked device: NAME here, or [USER@]HOST:NAME
    source: SourcePlace,

    /// Directory of the repository: a path here, or [USER@]HOST:PATH; made if it is not there
    #[arg(value_name = "REPO")]
    target: TargetPlace,

    #[command(flatten)]
    send: send::How,

    /// Compress with zstd at this level, from 1 to 19, or none [default: 1 between machines, none within one]
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    compress: Option<Level>,

    /// The remote shell, with arguments
    #[arg(long, value_name = "COMMAND", default_value = "ssh")]
    rsh: String,

    /// Path of era on the other machine
    #[arg(long, value_name = "PATH", default_value = "era")]
    remote_era: String,

    /// Send no more than this a second: 10M
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    bandwidth_limit: Option<u64>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// Show progress even where stderr is not a terminal
    #[arg(long)]
    progress: bool,
}

/// Whether and how to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    None,
    Zstd(i32),
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let is_remote = args.source.host.is_some() || args.target.host.is_some();
    let mut send_options = args.send.as_arguments();
    if let Level::Zstd(level) = args.compress.unwrap_or(if is_remote { Level::Zstd(1) } else { Level::None })
    {
        send_options.extend(["--compress".into(), level.to_string()]);
    }
    let rsh: Vec<String> = args.rsh.split_ascii_whitespace().map(str::to_owned).collect();
    let job = Job {
        source: args.source.clone(),
        target: args.target.clone(),
        reach: Reach { rsh, era: args.remote_era.clone() },
        send_options,
        limit: args.bandwidth_limit,
        progress: if args.progress { When::Always } else { When::OnTerminal },
    };
    let done = backup(&job).with_context(|| format!("backup of {}", args.source.name))?;
    if args.json { print_json(&done) } else { tell(&done) }
}

fn tell(done: &Done) -> anyhow::Result<()> {
    let Done { point, .. } = done;
    report::note(format_args!(
        "{}: point {}, {} changed, {} sent in {:.1} s; {} points",
        done.repository,
        point.id,
        report::size(point.changed_bytes),
        report::size(done.transferred_bytes),
        done.duration_seconds,
        done.points
    ));
    Ok(())
}

fn parse_level(text: &str) -> Result<Level, String> {
    match text.parse::<i32>() {
        _ if text == "none" => Ok(Level::None),
        Ok(level @ 1..=19) => Ok(Level::Zstd(level)),
        _ => Err("from 1 (fast) to 19 (small), or none".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        assert_eq!(parse_level("none"), Ok(Level::None));
        assert_eq!(parse_level("19"), Ok(Level::Zstd(19)));
        for bad in ["", "0", "20", "fast", "-1"] {
            assert!(parse_level(bad).is_err(), "{bad}");
        }
    }
}
