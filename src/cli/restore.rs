// SPDX-License-Identifier: GPL-3.0-or-later
//! `era restore`: a point goes back onto a device, or into a file.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use jiff::Timestamp;
use rustix::io::Errno;

use super::rewind::{self, Newest};
use super::{interrupt, restic};
use crate::blockio::{Destination, WriteAt};
use crate::report::{self, Progress, When};
use crate::repository::points::parse_place;
use crate::repository::restore::restore;
use crate::repository::target::Restored;
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

  From a restic repository that has points of several devices:
      era restore restic:rest:http://host:8000/ --device data /dev/vdc1

Every block is checked against its hash before it is written. If one is damaged,
the restore stops there; era verify says what is damaged.";

/// Write a point of a repository to a device or a new file
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Directory of the repository or restic:URL, and the point: latest, latest~1, a number or an id, or a time
    #[arg(value_name = "REPO[@POINT]")]
    pub(super) place: PathBuf,

    /// Block device that nothing uses, or a file that is not there yet
    pub(super) target: PathBuf,

    /// The device, by name or uuid, where a restic repository has points of several
    #[arg(long, value_name = "NAME")]
    pub(super) device: Option<String>,

    /// Overwrite a file that is there
    #[arg(long)]
    pub(super) force: bool,

    /// Write only what changed since the point; TARGET is the tracked device itself, not mounted
    #[arg(long, conflicts_with = "force")]
    pub(super) only_changed: bool,

    /// Show progress even where stderr is not a terminal
    #[arg(long)]
    pub(super) progress: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(place) = restic::place_of(args.place.as_os_str())? {
        return restic::restore(&place, args);
    }
    restic::refuse_device(args.device.as_deref(), &args.place)?;
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
        let newest = Newest { device: manifest.device, cursor: manifest.cursor() };
        let (rewind, (target, _)) =
            rewind::plan(&newest, geometry, view.changed_since(), &args.target, open)?;
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
    told(&args.target, &view.point.id, view.point.time, restored);
    Ok(())
}

/// Says what was restored.
pub(super) fn told(target: &Path, point: &dyn Display, time: Timestamp, restored: Restored) {
    report::note(format_args!(
        "{}: point {point} of {time}: {} written, {} of zeros",
        target.display(),
        report::size(restored.data_bytes),
        report::size(restored.zero_bytes)
    ));
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
    if is_same(target, &repository.join("image")) || is_within(repository, target)? {
        bail!(
            "{}: is a part of the repository; restore to another place, and copy that if need be",
            target.display()
        );
    }
    Ok(())
}

/// Whether a file is in a repository's directory, or would be.
pub(super) fn is_within(repository: &Path, target: &Path) -> anyhow::Result<bool> {
    // A file that is not there yet is where its directory is.
    let place = target.canonicalize().or_else(|e| match target.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new(".").canonicalize(),
        Some(parent) => parent.canonicalize(),
        None => Err(e),
    });
    let own = repository.canonicalize().with_context(|| repository.display().to_string())?;
    Ok(place.is_ok_and(|place| place.starts_with(&own)))
}

/// Opens a target; says whether it reads as zeros until something is written.
pub(super) fn open_target(path: &Path, force: bool) -> anyhow::Result<(Destination, bool)> {
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
