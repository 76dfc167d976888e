// SPDX-License-Identifier: GPL-3.0-or-later
//! `era hashes`: what a repository has, as a list of hashes.

use std::fs::File;
use std::io::{self, Seek};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::restic;
use crate::report::{Progress, When};
use crate::repository::base::{Sample, Trust, give, stride, write_list};
use crate::repository::{Access, Repository};
use crate::sys::raw_stdout;
use crate::units::MAX_UNIT_BYTES;

const EXAMPLES: &str = "\
Examples:
  Send only what is different, after tracking began anew, or when the first
  copy broke off (era backup does this by itself):
      era hashes /srv/backups/data | ssh host era send data --compare |
          era receive /srv/backups/data

Exit status: 0 done; 1 done, and with --reread something in the image is damaged; 2 an
error.";

/// Write the hashes of what a repository has, for era send --compare
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Directory of the repository
    #[arg(value_name = "REPO")]
    repository: PathBuf,

    /// Only one block in N, other ones each time, for era send --audit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,

    /// In units of so many bytes, of a restic repository
    #[arg(long, value_name = "N", hide = true, value_parser = clap::value_parser!(u64).range(512..=MAX_UNIT_BYTES))]
    unit_bytes: Option<u64>,

    /// Read the image, and say of what is damaged in it that it is not there
    #[arg(long)]
    reread: bool,
}

/// Returns whether all is there that is in the list.
pub(super) fn run(args: &Args) -> anyhow::Result<bool> {
    if let Some(place) = restic::place_of(args.repository.as_os_str())? {
        return restic::hashes(&place, args.sample, args.unit_bytes);
    }
    let name = || args.repository.display().to_string();
    let access = if args.sample.is_some() { Access::Read } else { Access::Write };
    let repository = Repository::open(&args.repository, access)?;
    let mut manifest = repository.known()?;
    let trust = if args.reread { Trust::Reread } else { Trust::Recorded };
    if let Some(one_in) = args.sample {
        let stride = stride(manifest.geometry()?.units(), one_in);
        let sample = Sample { first: manifest.audit_next % stride, stride, trust };
        let written = write_list(&repository, &manifest, sample, raw_stdout()).with_context(name)?;
        return Ok(written.unknown == 0);
    }
    let progress = Progress::new(When::OnTerminal, Some(manifest.device_bytes));
    // Who reads this adds a point as it goes, which takes the lock and changes the hashes: what is sent is a copy, made
    // before.
    let mut copy = unnamed(&args.repository).with_context(name)?;
    let written = give(&repository, &mut manifest, trust, &progress, &mut copy).with_context(name)?;
    drop(repository);
    copy.rewind().with_context(name)?;
    io::copy(&mut copy, &mut raw_stdout()).context("cannot send the list of hashes")?;
    Ok(written.unknown == 0)
}

/// A file that is gone when it is closed.
fn unnamed(directory: &Path) -> io::Result<File> {
    let path = directory.join(format!("list.{}", std::process::id()));
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}
