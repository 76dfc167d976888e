// SPDX-License-Identifier: GPL-3.0-or-later
//! `era create`: puts tracking under an existing device.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde::Serialize;

use super::{at_boot, print_json, size};
use crate::device::disk::Disk;
use crate::device::dm::{Dm, node};
use crate::device::eratab::{self, DeviceSpec, Entry, Name, Options, Tag};
use crate::device::header::Header;
use crate::device::identity::PARTUUID;
use crate::device::lifecycle::{self, Created, Wishes};
use crate::device::opening::{self, Choices};
use crate::device::sizing;
use crate::device::stack;

const EXAMPLES: &str = "\
Examples:
  Track /dev/vdb1, with a small partition for metadata and snapshots:
      umount /dev/vdb1
      era create data --data /dev/vdb1 --meta /dev/vdb2
      mount /dev/mapper/data /data     and put that name into /etc/fstab
  A mirror in smaller steps, at the price of more metadata:
      era create data --data /dev/vdb1 --meta /dev/vdb2 --block-size 64K
  The root filesystem, from the next boot on, in one go:
      era create root --data /dev/vda2 --meta /dev/vda3 --at-boot --apply

The data stay as they are. The metadata device is overwritten; one that holds
something is refused without --force. 1 GiB is enough for most: what dm-era does
not need is space for snapshots.";

/// Put tracking under an existing device
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name of the tracked device: /dev/mapper/NAME
    name: Name,

    /// Device to track; must not be in use, but for --at-boot
    #[arg(long, value_name = "DEVICE")]
    data: PathBuf,

    /// Device for metadata and snapshots
    #[arg(long, value_name = "DEVICE")]
    meta: PathBuf,

    /// What is noted as written together: a multiple of 4K
    #[arg(long, value_name = "SIZE", default_value = "512K", value_parser = size::parse)]
    block_size: u64,

    /// Space for snapshots on the metadata device, 0 for none [default: all the rest]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    cow_size: Option<u64>,

    /// Pass discards on; what is discarded is then not mirrored reliably
    #[arg(long)]
    discards: bool,

    /// Do not add the device to /etc/eratab
    #[arg(long)]
    no_eratab: bool,

    /// Do not open the device
    #[arg(long)]
    no_open: bool,

    /// Track a device that is in use, / perhaps, from the next boot on; shows what else must change
    #[arg(long, conflicts_with_all = ["no_eratab", "no_open", "json"])]
    at_boot: bool,

    /// With --at-boot: make these changes; a copy of each file is kept, and `era remove` undoes them
    #[arg(long, requires = "at_boot")]
    apply: bool,

    /// Overwrite what the metadata device holds
    #[arg(long)]
    force: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let wishes = Wishes {
        block_size: sizing::check_block_size(args.block_size)?,
        cow_bytes: args.cow_size,
        discards: args.discards,
        force: args.force,
        in_use: args.at_boot,
    };
    let (data_path, meta_path) = (absolute(&args.data)?, absolute(&args.meta)?);
    let table = Path::new(eratab::PATH);
    if args.at_boot && at_boot::made(&args.name)?.is_some() {
        bail!("{0}: files were changed for it before; `era remove {0}` undoes that", args.name);
    }
    if !args.no_eratab && eratab::read(table)?.find(&args.name).is_some() {
        bail!("{}: {} is there already; choose another name", eratab::PATH, args.name);
    }
    let dm = Dm::open()?;
    if args.at_boot {
        return at_boot(args, &dm, &data_path, &meta_path, &wishes);
    }
    let (created, entry) = {
        let (data, metadata) = lifecycle::open_unused(&data_path, &meta_path)?;
        let created = lifecycle::create(&dm, &args.name, &data, &metadata, &wishes)?;
        (created, entry(args, &data, &metadata))
    };
    // Device-mapper wants the devices for itself, so they are opened anew.
    finish(args, &dm, &data_path, &meta_path, table, &entry)
        .map_err(|e| give_up(e, args, &dm, &meta_path, &entry, &created))?;
    print(args, &created.header)
}

/// Prepares a device that is in use. The table comes first of what the boot reads, and the ramdisk last, as it holds a copy.
fn at_boot(args: &Args, dm: &Dm, data: &Path, meta: &Path, wishes: &Wishes) -> anyhow::Result<()> {
    let (data, metadata) = lifecycle::open_in_use(data, meta)?;
    let plan = at_boot::plan(&args.name, &data, args.apply)?;
    let created = lifecycle::create(dm, &args.name, &data, &metadata, wishes)?;
    let mut entry = entry(args, &data, &metadata);
    entry.options.initrd_attach = plan.initrd;
    eratab::add(Path::new(eratab::PATH), &entry).inspect_err(|_| created.undo(&metadata))?;
    if args.apply {
        let record = at_boot::Record::new(&entry, &plan);
        record.apply(&args.name).map_err(|e| give_up_at_boot(e, &record, &entry, &created, &metadata))?;
    } else {
        println!("{}: prepared; before the next boot, or in one go with --apply:", args.name);
    }
    plan.print();
    println!(
        "{0}: from the next boot on use {1} in place of {2}",
        args.name,
        node(args.name.as_str()).display(),
        args.data.display()
    );
    Ok(())
}

/// All is put back, or as much of it as can be: what stays fits together, as a ramdisk may look for the device already.
fn give_up_at_boot(
    error: anyhow::Error,
    record: &at_boot::Record,
    entry: &Entry,
    created: &Created,
    metadata: &Disk,
) -> anyhow::Error {
    let table = Path::new(eratab::PATH);
    let name = &entry.name;
    if let Err(again) = eratab::remove(table, name).and_then(|()| record.put_back(name)) {
        let _ = eratab::add(table, entry);
        return anyhow!(
            "{error:#}; and not all could be put back: {again:#}. Correct that, and then `era remove {name}` puts back \
             the rest"
        );
    }
    created.undo(metadata);
    match at_boot::forget(name) {
        Ok(()) => error.context("nothing is changed in the end, as a step failed"),
        Err(again) => anyhow!("{error:#}; all is as it was, but for this: {again:#}"),
    }
}

/// Nothing is left of a device that could not be made wholly, and the first error is the one to tell of. But what is open
/// keeps its header: the old bytes would go into the metadata of a device at work.
fn give_up(
    error: anyhow::Error,
    args: &Args,
    dm: &Dm,
    meta_path: &Path,
    entry: &Entry,
    created: &Created,
) -> anyhow::Error {
    if !matches!(stack::name_of(dm, created.header.device), Ok(None)) {
        let line = if args.no_eratab {
            String::new()
        } else {
            format!(
                ", or keep it and add this line to {}: {}",
                eratab::PATH,
                entry.to_string().replace('\t', " ")
            )
        };
        return anyhow!(
            "{error:#}; {0} could not be closed again, so it is tracked and open: stop what uses it and take tracking \
             away with `era remove --meta {1}`{line}",
            args.name,
            meta_path.display()
        );
    }
    // Not while anything holds it, whatever that is.
    let unused = Disk::open_unused(meta_path).and_then(|metadata| metadata.lock().map(|()| metadata));
    match unused {
        Ok(metadata) => {
            created.undo(&metadata);
            error
        }
        Err(e) => anyhow!("{error:#}; what stood on the metadata device before is not put back: {e:#}"),
    }
}

/// Opens the device and adds it to the table; where one of them fails, it is closed again if that can be.
fn finish(
    args: &Args,
    dm: &Dm,
    data_path: &Path,
    meta_path: &Path,
    table: &Path,
    entry: &Entry,
) -> anyhow::Result<()> {
    let (data, metadata) = (Disk::open_held(data_path)?, Disk::open_held(meta_path)?);
    metadata.lock()?;
    if !args.no_open {
        opening::open(dm, &args.name, &data, &metadata, &Choices::default())?;
    }
    if !args.no_eratab {
        eratab::add(table, entry).inspect_err(|_| {
            if !args.no_open {
                let _ = lifecycle::close(dm, Some(&data), &metadata);
            }
        })?;
    }
    Ok(())
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| path.display().to_string())
}

/// What stays the same when disks change their order is better in the table than a path.
fn entry(args: &Args, data: &Disk, metadata: &Disk) -> Entry {
    let spec = |disk: &Disk| match disk.stable_id() {
        Some(id) if id.kind == PARTUUID => DeviceSpec::Tag(Tag::PartUuid, id.value),
        _ => DeviceSpec::Path(disk.path.clone()),
    };
    Entry {
        name: args.name.clone(),
        data: spec(data),
        metadata: spec(metadata),
        options: Options { discards: args.discards, ..Options::default() },
    }
}

/// What was made.
#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    path: PathBuf,
    device: uuid::Uuid,
    generation: uuid::Uuid,
    data_bytes: u64,
    block_size_bytes: u64,
    metadata_bytes: u64,
    cow_bytes: u64,
    discards: bool,
}

fn print(args: &Args, header: &Header) -> anyhow::Result<()> {
    let created = Report {
        name: args.name.as_str(),
        path: node(args.name.as_str()),
        device: header.device,
        generation: header.generation,
        data_bytes: header.data.size_bytes,
        block_size_bytes: header.block_size.bytes(),
        metadata_bytes: header.layout.metadata.len,
        cow_bytes: header.layout.cow.map_or(0, |cow| cow.len),
        discards: header.options.discards,
    };
    if args.json {
        print_json(&created)
    } else {
        println!(
            "{}: tracked; {}use {} in place of {}",
            args.name,
            if args.no_open { "open it and " } else { "" },
            created.path.display(),
            args.data.display()
        );
        Ok(())
    }
}
