// SPDX-License-Identifier: GPL-3.0-or-later
//! `era receive`: a stream on stdin becomes a point of a repository.

use std::path::PathBuf;

use anyhow::bail;

use super::{interrupt, restic};
use crate::device::eratab::Name;
use crate::report::{self, Progress, When};
use crate::repository::receive::receive;
use crate::sys::raw_stdin;

const EXAMPLES: &str = "\
Examples:
  A full copy, and from then on what has changed:
      ssh host era send data | era receive /srv/backups/data
      ssh host era send data --since \"$(era points --cursor /srv/backups/data)\" |
          era receive /srv/backups/data

A stream becomes a point wholly or not at all: if it ends early or is damaged, if
the disk is full or the machine loses power, the repository is at its previous
point again, at the latest when it is used the next time.";

/// Add a stream on stdin to a repository as a new point in time
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Directory of the repository, made if it is not there; or restic:URL
    #[arg(value_name = "REPO")]
    repository: PathBuf,

    /// With restic:URL: the name of the device, as its image has it there
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,

    /// With restic:URL: make the repository if it is not there
    #[arg(long)]
    init: bool,

    /// Keep a note with the point
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,

    /// Show progress even where stderr is not a terminal
    #[arg(long)]
    progress: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(url) = restic::url_of(args.repository.as_os_str())? {
        return receive_into(&url, args);
    }
    if args.name.is_some() || args.init {
        bail!(
            "--name and --init are for restic:URL: a directory is made where there is none, and holds one device"
        );
    }
    interrupt::explain(format!(
        "{}: no point was added; what was begun is undone at the next use",
        args.repository.display()
    ))?;
    let progress = Progress::new(if args.progress { When::Always } else { When::OnTerminal }, None);
    let point = receive(&args.repository, raw_stdin(), args.note.as_deref(), &progress)?;
    progress.finish();
    report::note(format_args!(
        "{}: point {}: {} changed",
        args.repository.display(),
        point.id,
        report::size(point.changed_bytes)
    ));
    match &point.suspect {
        None => Ok(()),
        Some(why) => bail!(
            "{}: point {} is SUSPECT: {why}. Something wrote past the tracker; era verify \
             --repair {0} SOURCE compares everything and mends it",
            args.repository.display(),
            point.id
        ),
    }
}

#[cfg(feature = "restic")]
fn receive_into(url: &restic::Url, args: &Args) -> anyhow::Result<()> {
    interrupt::explain(format!("{url}: no snapshot was added"))?;
    if args.note.is_some() {
        bail!("--note is for directories; restic tag --add TEXT adds a tag to a snapshot");
    }
    restic::receive(url, args.name.as_ref(), args.init)
}

#[cfg(not(feature = "restic"))]
fn receive_into(url: &restic::Url, _: &Args) -> anyhow::Result<()> {
    match *url {}
}
