// SPDX-License-Identifier: GPL-3.0-or-later
//! `era restore`: a point goes back onto a device, or into a file.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use rustix::io::Errno;

use super::{interrupt, rewind};
use crate::blockio::{Destination, WriteAt};
use crate::report::{self, Progress, When};
use crate::repository::points::parse_place;
use crate::repository::restore::restore;
use crate::repository::view::View;
use crate::repository::{Access, Repository};

const EXAMPLES: &str = "\
Examples:
  The last point, onto a new disk:
      era restore /srv/backups/data /dev/vdc1
  As it was on a day, into a file that can be mounted:
      era restore /srv/backups/data@2026-11-24 data.img
      mount -o loop,ro data.img /mnt
  The tracked device itself, back to before the mishap; only what changed is
  written, and the next backup is a small one:
      umount /srv && era restore /srv/backups/data@latest~1 data --only-changed

Every block is checked against its hash before it is written. If one is damaged,
the restore stops there; era verify says what is damaged.";

/// Write a point of a repository to a device or a new file
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Directory of the repository, and the point: latest, latest~1, a number, or a time
    #[arg(value_name = "REPO[@POINT]")]
    place: PathBuf,

    /// Block device that nothing uses, or a file that is not there yet
    target: PathBuf,

    /// Overwrite a file that is there
    #[arg(long)]
    force: bool,

    /// Write only what changed since the point; TARGET is the tracked device itself, not mounted
    #[arg(long, conflicts_with = "force")]
    only_changed: bool,

    /// Show progress even where stderr is not a terminal
    #[arg(long)]
    progress: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (path, selector) = parse_place(&args.place)?;
    let repository = Repository::open(&path, Access::Read)?;
    let manifest = repository.known()?;
    let mut view = View::open(&path, selector)?;
    let geometry = view.geometry();
    let when = if args.progress { When::Always } else { When::OnTerminal };
    let explain = || interrupt::explain(format!("{}: is incomplete", args.target.display()));
    let name = || args.target.display().to_string();
    let restored = if args.only_changed {
        let open = |path: &Path| open_target(path, false).with_context(name);
        let (rewind, (target, _)) = rewind::plan(&manifest, &view, &args.target, open)?;
        explain()?;
        let progress = Progress::new(when, Some(rewind.units.len() * geometry.unit_bytes));
        let units = rewind.units.runs().flat_map(|run| run.begin..run.end);
        restore(&mut view, &target, false, units, &progress).with_context(name)?
    } else {
        refuse_own(&path, &args.target)?;
        let (target, blank) = open_target(&args.target, args.force)?;
        explain()?;
        let progress = Progress::new(when, Some(geometry.device_bytes));
        restore(&mut view, &target, blank, 0..geometry.units(), &progress).with_context(name)?
    };
    report::note(format_args!(
        "{}: point {} of {}: {} written, {} of zeros",
        args.target.display(),
        view.point.id,
        view.point.time,
        report::size(restored.data_bytes),
        report::size(restored.zero_bytes)
    ));
    Ok(())
}

/// A file of the repository, or the device that its image is on, would be lost as soon as it is opened.
fn refuse_own(repository: &Path, target: &Path) -> anyhow::Result<()> {
    let is_same = |a: &Path, b: &Path| match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) if a.file_type().is_block_device() => {
            a.rdev() == b.rdev() && b.file_type().is_block_device()
        }
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    };
    // A file that is not there yet is where its directory is.
    let place = target.canonicalize().or_else(|e| match target.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new(".").canonicalize(),
        Some(parent) => parent.canonicalize(),
        None => Err(e),
    });
    let own = repository.canonicalize().with_context(|| repository.display().to_string())?;
    if is_same(target, &own.join("image")) || place.is_ok_and(|place| place.starts_with(&own)) {
        bail!(
            "{}: is a part of the repository; restore to another place, and copy that if need be",
            target.display()
        );
    }
    Ok(())
}

/// Opens a target; says whether it reads as zeros until something is written.
fn open_target(path: &Path, force: bool) -> anyhow::Result<(Destination, bool)> {
    let name = || path.display().to_string();
    let is_file = fs::metadata(path).map(|metadata| metadata.is_file());
    if is_file.as_ref().is_ok_and(|&is_file| is_file) && !force {
        bail!("{}: is there already; pass --force to overwrite it", name());
    }
    let target = Destination::open(path).map_err(|e| match Errno::from_io_error(&e) {
        Some(Errno::BUSY) => {
            anyhow!(
                "{}: the device is in use: mounted, or held by another device; lsblk shows by what",
                name()
            )
        }
        _ => anyhow::Error::from(e).context(format!("{}: cannot open", name())),
    })?;
    let blank = target.can_grow();
    if blank {
        // What an old file holds would show through where the point has zeros.
        target.grow(0).with_context(name)?;
    }
    Ok((target, blank))
}
