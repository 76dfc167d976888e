// SPDX-License-Identifier: GPL-3.0-or-later
//! `era verify`: whether a repository holds what it was given.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;

use super::print_json;
use crate::report::{self, Progress, When};
use crate::repository::verify::{Damage, verify};
use crate::repository::{Access, Repository};

const EXAMPLES: &str = "\
Examples:
  era verify /srv/backups/data
  era verify /srv/backups/data --json

Everything is read: the image and the undo streams, against their hashes.

Exit status: 0 all is well; 1 something is damaged; 2 an error.";

/// Read all of a repository and check it against its hashes
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Directory of the repository
    #[arg(value_name = "REPO")]
    repository: PathBuf,

    /// Print a JSON object for each damage, one a line
    #[arg(long)]
    json: bool,

    /// Show progress even where stderr is not a terminal
    #[arg(long)]
    progress: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    damage: &'a Damage,
}

/// Returns whether all is well.
pub(super) fn run(args: &Args) -> anyhow::Result<bool> {
    let path = &args.repository;
    let repository = Repository::open(path, Access::Read)?;
    let manifest =
        repository.manifest()?.with_context(|| format!("{}: there is no repository", path.display()))?;
    let progress = Progress::new(if args.progress { When::Always } else { When::OnTerminal }, None);
    let damages = verify(path, &manifest, &progress, |damage| {
        if args.json { print_json(&Line { damage: &damage }) } else { print(&damage) }
    })?;
    progress.finish();
    let points = manifest.points.len();
    match damages {
        0 => report::note(format_args!("{}: {points} points, all as they were", path.display())),
        n => report::note(format_args!("{}: {n} damages in {points} points", path.display())),
    }
    Ok(damages == 0)
}

fn print(damage: &Damage) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let file = damage.file.display();
    match (damage.offset, damage.length_bytes) {
        (Some(offset), Some(len)) => writeln!(
            out,
            "{file}: point {}: bytes {offset} to {} of the device: {}",
            damage.point,
            offset + len - 1,
            damage.problem
        ),
        _ => writeln!(out, "{file}: point {}: {}", damage.point, damage.problem),
    }
    .context("cannot write to stdout")
}
