// SPDX-License-Identifier: GPL-3.0-or-later
//! `era verify`: whether a repository holds what it was given, or what its device holds.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::Serialize;

use super::{print_json, restic};
use crate::remote::backup::{Job, backup};
use crate::remote::compare::compare;
use crate::remote::peer::Reach;
use crate::remote::place::{SourcePlace, TargetPlace};
use crate::report::{self, Progress, When};
use crate::repository::manifest::Manifest;
use crate::repository::verify::{Damage, verify};
use crate::repository::{Access, Geometry, Repository};
use crate::stream::Audit;

const EXAMPLES: &str = "\
Examples:
  Against its own hashes: everything is read, the image and the undo streams
      era verify /srv/backups/data
  Against the device, block by block; only hashes are sent
      era verify /srv/backups/data vm1:data
  The same; what is damaged is mended, and a new point gets what is different
      era verify /srv/backups/data vm1:data --repair
  A restic repository: whether all is there; or everything is read
      era verify restic:/srv/restic
      era verify restic:/srv/restic --read-data

Blocks that were written since the last point are not compared with the device: the
next backup has them. What else differs was written past the tracker, or is damaged in
the repository; the first of these commands tells which, and looks at older points, too.

Exit status: 0 all is well, or was mended; 1 something is damaged or different;
2 an error.";

/// Check a repository against its hashes, or against its device
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Directory of the repository, or restic:URL
    #[arg(value_name = "REPO")]
    repository: PathBuf,

    // Not as documentation, which takes what is in brackets for a link.
    #[arg(help = "The device that it is of: NAME here, or [USER@]HOST:NAME")]
    pub(super) source: Option<SourcePlace>,

    /// Only points of this device, by name or uuid, in a restic repository
    #[arg(long, value_name = "NAME", conflicts_with = "source")]
    pub(super) device: Option<String>,

    /// Read all data of a restic repository; without it, whether everything is there is looked at
    #[arg(long, conflicts_with = "source")]
    pub(super) read_data: bool,

    /// Mend the image, and add a point that has what is different
    #[arg(long, requires = "source")]
    pub(super) repair: bool,

    /// The remote shell, with arguments
    #[arg(long, value_name = "COMMAND", default_value = "ssh")]
    rsh: String,

    /// Path of era on the other machine
    #[arg(long, value_name = "PATH", default_value = "era")]
    pub(super) remote_era: String,

    /// Print a JSON object for each damage, one a line; with SOURCE, one object
    #[arg(long)]
    pub(super) json: bool,

    /// Show progress even where stderr is not a terminal
    #[arg(long)]
    progress: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    damage: &'a Damage,
}

/// What a comparison with the device found.
#[derive(Serialize)]
struct Compared<'a> {
    compared_units: u64,
    differing_units: u64,
    unit_bytes: u64,
    /// The first of them.
    units: &'a [u64],
}

/// Returns whether all is well.
pub(super) fn run(args: &Args) -> anyhow::Result<bool> {
    if let Some(place) = restic::place_of(args.repository.as_os_str())? {
        return restic::verify(&place, args);
    }
    restic::refuse_device(args.device.as_deref(), &args.repository)?;
    if args.read_data {
        bail!("--read-data is for restic repositories; of a directory everything is read anyway");
    }
    let path = &args.repository;
    let repository = Repository::open(path, Access::Read)?;
    let manifest = repository.known()?;
    match &args.source {
        None => verify_alone(args, &manifest),
        Some(source) => {
            // What it starts takes locks of its own.
            drop(repository);
            verify_with(args, &manifest, source)
        }
    }
}

fn verify_alone(args: &Args, manifest: &Manifest) -> anyhow::Result<bool> {
    let path = &args.repository;
    let progress = Progress::new(when(args), None);
    let damages = verify(path, manifest, &progress, |damage| {
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

fn when(args: &Args) -> When {
    if args.progress { When::Always } else { When::OnTerminal }
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

fn verify_with(args: &Args, manifest: &Manifest, source: &SourcePlace) -> anyhow::Result<bool> {
    let path = args.repository.to_str().context("the path of the repository is not UTF-8")?;
    let rsh: Vec<String> = args.rsh.split_ascii_whitespace().map(str::to_owned).collect();
    let reach = Reach { rsh, era: args.remote_era.clone() };
    let Some(cursor) = manifest.cursor() else {
        bail!("{path}: the first copy is not whole, or its cursor is not known; make a backup first");
    };
    let absolute = std::path::absolute(path).with_context(|| path.to_owned())?;
    let absolute = absolute.to_str().context("the path of the repository is not UTF-8")?;
    let hashes = ["--sample", "1", "--reread", absolute].map(str::to_owned);
    let compared = compare(source, &hashes, &cursor.to_string(), &reach)?;
    let audit = &compared.audit;
    tell(args.json, &Outcome { name: path, geometry: manifest.geometry()?, audit })?;
    let is_well = audit.differing == 0 && compared.image_is_whole;
    if audit.differing == 0 && !compared.image_is_whole {
        report::note(format_args!(
            "{path}: the image is damaged where the device was written since; era verify {path} says where"
        ));
    }
    if is_well || !args.repair {
        return Ok(is_well);
    }
    let job = Job {
        source: source.clone(),
        target: TargetPlace { host: None, path: absolute.into() },
        reach,
        send_options: Vec::new(),
        audit: 0,
        repair: Some(format!(
            "repair: {} blocks differed that were not written, as dm-era says",
            audit.differing
        )),
        limit: None,
        progress: when(args),
    };
    let done = backup(&job)?;
    report::note(format_args!(
        "{path}: point {} has what was different, {}",
        done.point.id(),
        report::size(done.point.changed_bytes())
    ));
    Ok(true)
}

/// What came of a comparison.
pub(super) struct Outcome<'a> {
    /// How messages call the repository.
    pub(super) name: &'a str,
    /// How the device is divided into units.
    pub(super) geometry: Geometry,
    /// What was found.
    pub(super) audit: &'a Audit,
}

/// Says what came of it.
pub(super) fn tell(json: bool, Outcome { name, geometry, audit }: &Outcome) -> anyhow::Result<()> {
    if json {
        return print_json(&Compared {
            compared_units: audit.checked,
            differing_units: audit.differing,
            unit_bytes: geometry.unit_bytes,
            units: &audit.units,
        });
    }
    let mut out = io::stdout().lock();
    for unit in &audit.units {
        let extent = geometry.extent(*unit);
        writeln!(out, "bytes {} to {} of the device differ", extent.offset, extent.end().saturating_sub(1))
            .context("cannot write to stdout")?;
    }
    let more = audit.differing - audit.units.len() as u64;
    if more > 0 {
        writeln!(out, "and {more} blocks more").context("cannot write to stdout")?;
    }
    if audit.checked == 0 {
        report::warn(format_args!(
            "{name}: nothing was compared, as all blocks were written since the last point; make a backup, and try again"
        ));
    }
    report::note(format_args!("{name}: {} blocks compared, {} differ", audit.checked, audit.differing));
    Ok(())
}
