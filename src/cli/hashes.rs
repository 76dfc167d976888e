// SPDX-License-Identifier: GPL-3.0-or-later
//! `era hashes`: what a repository has, as a list of hashes.

use std::io;
use std::path::PathBuf;

use anyhow::Context;

use crate::report::{Progress, When};
use crate::repository::base::{prepare, write_list};
use crate::repository::{Access, Repository};
use crate::sys::raw_stdout;

const EXAMPLES: &str = "\
Examples:
  Send only what is different, after tracking began anew, or when the first
  copy broke off (era backup does this by itself):
      era hashes /srv/backups/data | ssh host era send data --compare |
          era receive /srv/backups/data";

/// Write the hashes of what a repository has, for era send --compare
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Directory of the repository
    #[arg(value_name = "REPO")]
    repository: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let name = || args.repository.display().to_string();
    let repository = Repository::open(&args.repository, Access::Write)?;
    let mut manifest =
        repository.manifest()?.with_context(|| format!("{}: there is no repository", name()))?;
    let progress = Progress::new(When::OnTerminal, Some(manifest.device_bytes));
    prepare(&repository, &mut manifest, &progress).with_context(name)?;
    write_list(&repository, &manifest, io::BufWriter::new(raw_stdout())).map(drop).with_context(name)
}
