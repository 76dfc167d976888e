// SPDX-License-Identifier: GPL-3.0-or-later
//! The device-mapper devices, by dmsetup.
//!
//! The stack is the one that `era create` makes, and the cut the one that `era send` makes, step by step. What is
//! measured goes through the kernel's targets only, so it makes no difference who loaded them.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};

use crate::parameters::{CHUNK, MIB};

const SECTOR: u64 = 512;

/// The tracked device; the others' names are derived from it.
pub const NAME: &str = "NAME";

/// Our header, at the beginning of the metadata device.
const HEADER: u64 = MIB / SECTOR;

/// Many times what the metadata of so small a disk need.
const METADATA: u64 = 32 * MIB / SECTOR;

/// The disks of the machine.
pub struct Disks {
    pub data: PathBuf,
    pub meta: PathBuf,
}

impl Disks {
    pub fn data_bytes(&self) -> anyhow::Result<u64> {
        Ok(sectors(&self.data)? * SECTOR)
    }
}

/// Where a device of device-mapper is.
pub fn node(name: &str) -> PathBuf {
    Path::new("/dev/mapper").join(name)
}

/// dm-era alone, with nothing above or below it.
pub fn create_bare(name: &str, disks: &Disks, block_bytes: u64) -> anyhow::Result<()> {
    blank(&disks.meta, 0)?;
    create(name, &era(&disks.meta, &disks.data, block_bytes)?)
}

/// What `era create NAME --data DATA --meta META` leaves behind.
pub fn create_stack(disks: &Disks, block_bytes: u64) -> anyhow::Result<()> {
    let cow = HEADER + METADATA;
    let meta = disks.meta.display();
    let cow_sectors = sectors(&disks.meta)?.checked_sub(cow).context("the metadata disk is too small")?;
    blank(&disks.meta, HEADER)?;
    create("NAME-data", &linear(&disks.data)?)?;
    create("NAME-meta", &format!("0 {METADATA} linear {meta} {HEADER}"))?;
    create("NAME-cow", &format!("0 {cow_sectors} linear {meta} {cow}"))?;
    create(NAME, &era(&node("NAME-meta"), &node("NAME-data"), block_bytes)?)
}

pub fn remove_stack() -> anyhow::Result<()> {
    remove(&[NAME, "NAME-data", "NAME-meta", "NAME-cow"])
}

/// Makes NAME-snap the device as it is now. From here on a write to NAME copies what it overwrites.
pub fn cut(disks: &Disks) -> anyhow::Result<()> {
    let (data, size, chunk) = (disks.data.display(), sectors(&disks.data)?, CHUNK / SECTOR);
    let cow = node("NAME-cow");
    dmsetup(["create", "NAME-snap", "--notable"])?;
    load("NAME-snap", &format!("0 {size} snapshot {data} {} N {chunk}", cow.display()))?;
    load("NAME-data", &format!("0 {size} snapshot-origin {data}"))?;
    dmsetup(["suspend", NAME, "NAME-data"])?;
    dmsetup(["resume", "NAME-snap", "NAME-data", NAME])?;
    dmsetup(["message", NAME, "0", "take_metadata_snap"])?;
    Ok(())
}

/// Ends what [`cut`] began; fails when the snapshot did not copy exactly so many chunks. One that has overflowed copies
/// nothing, and would look fast.
pub fn end_cut(disks: &Disks, chunks: u64) -> anyhow::Result<()> {
    let status = dmsetup(["status", "NAME-snap"])?;
    let copied = status.split([' ', '/']).nth(3).and_then(|sectors| sectors.parse().ok());
    ensure!(
        copied == Some(chunks * CHUNK / SECTOR),
        "the snapshot should have copied {chunks} chunks; its status: {status}"
    );
    load("NAME-data", &linear(&disks.data)?)?;
    dmsetup(["suspend", NAME, "NAME-data"])?;
    dmsetup(["resume", "NAME-data", NAME])?;
    remove(&["NAME-snap"])?;
    dmsetup(["message", NAME, "0", "drop_metadata_snap"])?;
    Ok(())
}

pub fn remove(names: &[&str]) -> anyhow::Result<()> {
    dmsetup(["remove"].iter().chain(names)).map(drop)
}

fn era(meta: &Path, data: &Path, block_bytes: u64) -> anyhow::Result<String> {
    let (size, block) = (sectors(data)?, block_bytes / SECTOR);
    Ok(format!("0 {size} era {} {} {block}", meta.display(), data.display()))
}

fn linear(device: &Path) -> anyhow::Result<String> {
    Ok(format!("0 {} linear {} 0", sectors(device)?, device.display()))
}

fn create(name: &str, table: &str) -> anyhow::Result<()> {
    dmsetup(["create", name, "--table", table]).map(drop)
}

fn load(name: &str, table: &str) -> anyhow::Result<()> {
    dmsetup(["load", name, "--table", table]).map(drop)
}

fn dmsetup(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> anyhow::Result<String> {
    let mut command = Command::new("dmsetup");
    let output = command.args(args).output().context("dmsetup")?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Has dm-era make new metadata, which it does where there are zeros.
fn blank(device: &Path, sector: u64) -> anyhow::Result<()> {
    let file = File::options().write(true).open(device).with_context(|| device.display().to_string())?;
    file.write_all_at(&[0; 4096], sector * SECTOR)?;
    // The kernel reads past the page cache of this device when it comes through another.
    Ok(file.sync_all()?)
}

fn sectors(device: &Path) -> anyhow::Result<u64> {
    let mut file = File::open(device).with_context(|| device.display().to_string())?;
    Ok(file.seek(SeekFrom::End(0))? / SECTOR)
}
