// SPDX-License-Identifier: GPL-3.0-or-later
//! `era apply`, also called as `era_apply`: a stream to a device or an image file.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use rustix::io::Errno;

use super::interrupt;
use crate::apply::{Options, apply};
use crate::blockio::Destination;
use crate::report::{Progress, When};
use crate::sys::raw_stdin;

const EXAMPLES: &str = "\
Examples:
  A stream from a file, onto the mirror it belongs to:
      era_apply /srv/vm1.img < changes.era
  From another host, sure that it was complete:
      ssh vmhost 'era copy --format 2 1024 /dev/mapper/vm1 < blocks.xml' |
          era apply --require-end /srv/vm1.img

A block device that is mounted or otherwise in use is refused. While the stream
arrives, the destination is a mix of old and new; if it breaks off, apply a
complete stream of the same changes.";

/// Apply a stream to a device or an image file
///
/// Reads a stream of either version from stdin. Everything is on stable storage when it exits with 0.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Show progress even where stderr is not a terminal
    #[arg(long)]
    progress: bool,

    /// Refuse a stream that does not say that it is complete: the classic era_copy's, or an empty one
    #[arg(long)]
    require_end: bool,

    /// Device or file to change; a missing file is created
    destination: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let name = args.destination.display();
    let destination = Destination::open(&args.destination).map_err(|e| match Errno::from_io_error(&e) {
        Some(Errno::BUSY) => {
            anyhow!("{name}: the device is in use; unmount it, or close what holds it, and try again")
        }
        _ => anyhow::Error::from(e).context(format!("{name}: cannot open for writing")),
    })?;
    interrupt::explain(format!("{name} is a mix of old and new; apply the stream again from its beginning"))?;
    let progress = Progress::new(if args.progress { When::Always } else { When::OnTerminal }, None);
    apply(raw_stdin(), &destination, Options { require_end: args.require_end }, &progress)
        .with_context(|| name.to_string())?;
    progress.finish();
    Ok(())
}
