// SPDX-License-Identifier: GPL-3.0-or-later
//! `era backup`: the whole job, as options or a configuration have it.

mod config;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use signal_hook::low_level::emulate_default_handler;

use self::config::Config;
use super::{print_json, send, size};
use crate::remote::backup::{Done, Job};
use crate::remote::hook::Hook;
use crate::remote::peer::Reach;
use crate::remote::place::{SourcePlace, Target, TargetPlace};
#[cfg(feature = "restic")]
use crate::remote::restic;
use crate::remote::routine::Routine;
use crate::remote::work::Work;
use crate::report::{self, When};
#[cfg(feature = "restic")]
use crate::restic::url::Url;
use crate::stopping;

const EXAMPLES: &str = "\
Examples:
  Of a device of another host, into a repository here:
      era backup root@vm1:root /srv/backups/vm1
  Of a device here, to a backup host:
      era backup data backup@store:/srv/backups/data
  Both here:
      era backup data /mnt/usb/data
  To an object store, in restic's format, which restic can read as well:
      export RESTIC_PASSWORD_FILE=/etc/era/password
      era backup data restic:s3:https://s3.example.org/backups --init
  As /etc/era/backup/data.toml says, which era-backup(5) describes; every night:
      era backup --config data
      systemctl enable --now era-backup@data.timer

Each run also reads some of the blocks that have not changed, as dm-era says, and
compares them with the repository's hashes. If one differs, something wrote past
the tracker: the point is kept, marked as suspect, and the run fails; era verify
--repair mends it.

The first run copies everything, the later ones what changed since the last point.
If tracking began anew, or the first copy broke off, everything is read, but only
what is different is sent. ssh is used as it is set up, keys, ports and jump hosts
in ~/.ssh/config included; both machines need era.

Exit status: 0 a point was added, and all else done; 2 an error, which says so if
a point was added all the same.";

/// Add a point to a repository: the device as it is now
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    // Not as documentation, which takes what is in brackets for a link.
    #[arg(help = "Tracked device: NAME here, or [USER@]HOST:NAME", required_unless_present = "config")]
    source: Option<SourcePlace>,

    // As above.
    #[arg(
        help = "Directory of the repository: a path here, or [USER@]HOST:PATH; made if it is not there; or restic:URL",
        value_name = "REPO",
        required_unless_present = "config"
    )]
    target: Option<Target>,

    /// Do what /etc/era/backup/NAME.toml says, or the file at PATH; arguments given here are stronger
    #[arg(long, value_name = "NAME|PATH")]
    config: Option<PathBuf>,

    #[command(flatten)]
    send: send::How,

    /// Compress with zstd at this level, from 1 to 19, or none [default: 1 between machines, none within one]
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    compress: Option<Level>,

    /// The remote shell, with arguments [default: ssh]
    #[arg(long, value_name = "COMMAND")]
    rsh: Option<String>,

    /// Path of era on the other machine [default: era]
    #[arg(long, value_name = "PATH")]
    remote_era: Option<String>,

    /// Send no more than this a second: 10M
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    bandwidth_limit: Option<u64>,

    /// Compare one in N of the blocks that have not changed, too, other ones each time; 0 for none [default: 1000]
    #[arg(long, value_name = "N")]
    audit: Option<u64>,

    /// With restic:URL: make the repository if it is not there
    #[arg(long)]
    init: bool,

    /// With restic:URL: read everything, whatever tracking says; what the repository has is not uploaded again
    #[arg(long)]
    full: bool,

    /// Write metrics for Prometheus' textfile collector, after failures, too
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,

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
    let file = args.config.as_deref().map(config::path_of);
    let config = file.as_deref().map(config::read).transpose()?.unwrap_or_default();
    let routine = routine(args, config, file.as_deref().unwrap_or(Path::new("the command line")))?;
    stopping::watch()?;
    let result = routine.run().with_context(|| format!("backup of {}", routine.source()));
    if let (Err(e), Some(signal)) = (&result, stopping::signal()) {
        report::fail(format_args!("{e:#}"));
        // Ends the process; cannot fail for these signals.
        let _ = emulate_default_handler(signal);
    }
    let done = result?;
    if args.json {
        print_json(&done)?
    } else {
        tell(&done)
    }
    match done.trouble() {
        None => Ok(()),
        Some(trouble) => bail!("backup of {}: {trouble}", routine.source()),
    }
}

/// What the command line says, and where it says nothing, what the file does.
fn routine(args: &Args, config: Config, file: &Path) -> anyhow::Result<Routine> {
    let missing = |key: &str, such_as: &str| {
        format!("{}: has no {key}; add a line such as {key} = \"{such_as}\"", file.display())
    };
    let source = args.source.clone().or(config.source);
    let source = source.with_context(|| missing("source", "root@vm1:vol"))?;
    let target = args.target.clone().or(config.repository);
    let target = target.with_context(|| missing("repository", "/srv/backups/vol"))?;
    let how = send::How {
        consistency: config.consistency,
        freeze_timeout: config.freeze_timeout,
        max_passes: config.max_passes,
    };
    let options = Options {
        send: args.send.or(how).as_arguments(),
        compress: args.compress.or(config.compress),
        reach: Reach {
            rsh: words(args.rsh.as_ref().or(config.rsh.as_ref()).map_or("ssh", String::as_str)),
            era: args.remote_era.clone().or(config.remote_era).unwrap_or_else(|| "era".into()),
        },
        audit: args.audit.or(config.audit),
        limit: args.bandwidth_limit.or(config.bandwidth_limit),
        progress: if args.progress { When::Always } else { When::OnTerminal },
    };
    let limit = config.hooks.time_limit;
    let hook = |name, command: Option<String>| command.map(|command| Hook { name, command, limit });
    let work = match target {
        Target::Directory(target) => {
            if args.init || args.full || config.init.is_some() {
                bail!("--init and --full are for restic:URL: a directory is made where there is none");
            }
            Work::Directory(options.into_directory(source, target))
        }
        #[cfg(feature = "restic")]
        Target::Restic(url) => {
            let init = args.init || config.init.unwrap_or_default();
            Work::Restic(options.into_restic(source, url, init, args.full)?)
        }
    };
    Ok(Routine {
        work,
        before_cut: hook("before_cut", config.hooks.before_cut),
        after_cut: hook("after_cut", config.hooks.after_cut),
        keep: config.retention,
        metrics: args.metrics.clone().or(config.metrics),
    })
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

/// How it is done, whatever the repository.
struct Options {
    send: Vec<String>,
    compress: Option<Level>,
    reach: Reach,
    audit: Option<u64>,
    limit: Option<u64>,
    progress: When,
}

impl Options {
    fn into_directory(mut self, source: SourcePlace, target: TargetPlace) -> Job {
        let is_remote = source.host.is_some() || target.host.is_some();
        let default = if is_remote { Level::Zstd(1) } else { Level::None };
        if let Level::Zstd(level) = self.compress.unwrap_or(default) {
            self.send.extend(["--compress".into(), level.to_string()]);
        }
        Job {
            source,
            target,
            reach: self.reach,
            send_options: self.send,
            audit: self.audit.unwrap_or(1000),
            repair: None,
            limit: self.limit,
            progress: self.progress,
        }
    }

    #[cfg(feature = "restic")]
    fn into_restic(
        self,
        source: SourcePlace,
        url: Url,
        init: bool,
        full: bool,
    ) -> anyhow::Result<restic::Job> {
        for (is_given, what, instead) in [
            (self.compress.is_some(), "compress", "compression is a setting of the repository"),
            (self.audit.unwrap_or(0) > 0, "audit", "era verify restic:URL NAME compares with the device"),
        ] {
            if is_given {
                bail!("{what} is not for restic:URL: {instead}");
            }
        }
        Ok(restic::Job {
            source,
            url,
            reach: self.reach,
            send_options: self.send,
            init,
            full,
            limit: self.limit,
            progress: self.progress,
        })
    }
}

fn tell(done: &Done) {
    let Done { point, .. } = done;
    let removed = match done.removed_points {
        0 => String::new(),
        1 => "; 1 old point was taken away".into(),
        n => format!("; {n} old points were taken away"),
    };
    report::note(format_args!(
        "{}: point {}, {} changed, {} sent in {:.1} s; {} {}{removed}",
        done.repository,
        point.id(),
        report::size(point.changed_bytes()),
        report::size(done.transferred_bytes),
        done.duration_seconds,
        done.points,
        if done.points == 1 { "point" } else { "points" },
    ));
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
