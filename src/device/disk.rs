// SPDX-License-Identifier: GPL-3.0-or-later
//! A block device as the other modules need it: its number, its size, what it is known by, read and written.

use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use devicemapper::Device;
use rustix::io::Errno;

use super::header::StableId;
use super::identity;
use super::lock::lock;
use crate::blockio::{Destination, ReadAt, Source, WriteAt};
use crate::units::{Extent, SECTOR_BYTES};

/// A block device, open for reading past the page cache and for writing.
#[derive(Debug)]
pub struct Disk {
    /// The path that it was opened by.
    pub path: PathBuf,
    /// Its number.
    pub number: Device,
    source: Source,
    destination: Destination,
    locked: OnceCell<File>,
}

impl Disk {
    /// Opens a device that nobody else uses; as long as this is open, nobody else can mount or hold it.
    pub fn open_unused(path: &Path) -> anyhow::Result<Self> {
        Self::open(path, Destination::open)
    }

    /// Opens a device that our own stack may hold.
    pub fn open_held(path: &Path) -> anyhow::Result<Self> {
        Self::open(path, Destination::open_held)
    }

    fn open(path: &Path, open: impl FnOnce(&Path) -> io::Result<Destination>) -> anyhow::Result<Self> {
        let number = number_of(path)?;
        let destination = open(path).map_err(|e| match Errno::from_io_error(&e) {
            Some(Errno::BUSY) => anyhow!(
                "{}: the device is in use: mounted, or held by another device; lsblk shows by what",
                path.display()
            ),
            _ => anyhow::Error::from(e).context(format!("{}: cannot open", path.display())),
        })?;
        let source = Source::open(path).with_context(|| format!("{}: cannot open", path.display()))?;
        Ok(Self { path: path.to_owned(), number, source, destination, locked: OnceCell::new() })
    }

    /// Waits until no other `era` changes the device, and keeps others waiting until this is dropped.
    pub fn lock(&self) -> anyhow::Result<()> {
        if self.locked.get().is_none() {
            // It was empty.
            let _ = self.locked.set(lock_device(self.number)?);
        }
        Ok(())
    }

    /// Refuses a device that is mounted or held by another.
    pub fn check_unused(&self) -> anyhow::Result<()> {
        Self::open_unused(&self.path).map(drop)
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        ReadAt::size(&self.source)
    }

    /// Its size in sectors, the unit of tables.
    pub fn sectors(&self) -> u64 {
        self.bytes() / SECTOR_BYTES
    }

    /// Writes through this and reads past the page cache, for whoever wants both.
    pub fn halves(&self) -> (&Source, &Destination) {
        (&self.source, &self.destination)
    }

    /// A name that the device keeps wherever it is plugged in, if it has one: the first of those in `docs/header.md`.
    pub fn stable_id(&self) -> Option<StableId> {
        self.stable_ids().into_iter().next()
    }

    /// All names that it keeps.
    pub fn stable_ids(&self) -> Vec<StableId> {
        identity::of(self.number)
    }
}

/// Takes the lock of a device. A lock is one of a node, of which a device may have several, so it is always the kernel's own
/// node that is locked.
pub fn lock_device(number: Device) -> anyhow::Result<File> {
    let path = path_of(number)?;
    let file = File::open(&path).with_context(|| path.display().to_string())?;
    if Device::from(file.metadata().with_context(|| path.display().to_string())?.rdev()) != number {
        bail!("{}: is not device {number}; is /dev right?", path.display());
    }
    lock(&file, &path)?;
    Ok(file)
}

/// The path of a device's node, which the kernel makes itself, udev or not.
pub fn path_of(number: Device) -> anyhow::Result<PathBuf> {
    let link = format!("/sys/dev/block/{number}");
    let target = std::fs::read_link(&link).with_context(|| format!("{link}: there is no such device"))?;
    let name = target.file_name().with_context(|| link.clone())?.to_string_lossy().replace('!', "/");
    Ok(Path::new("/dev").join(name))
}

/// The number of a block device.
pub fn number_of(path: &Path) -> anyhow::Result<Device> {
    let metadata = std::fs::metadata(path).with_context(|| path.display().to_string())?;
    if !metadata.file_type().is_block_device() {
        bail!("{}: is not a block device; losetup makes one of a file", path.display());
    }
    Ok(Device::from(metadata.rdev()))
}

impl ReadAt for Disk {
    fn size(&self) -> u64 {
        self.bytes()
    }

    fn align(&self) -> usize {
        self.source.align()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.source.read_at(buf, offset)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.source.descriptor()
    }
}

impl WriteAt for Disk {
    fn size(&self) -> u64 {
        self.bytes()
    }

    fn can_grow(&self) -> bool {
        false
    }

    fn grow(&self, size: u64) -> io::Result<()> {
        self.destination.grow(size)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.destination.write_at(buf, offset)
    }

    fn zero(&self, extent: Extent) -> io::Result<()> {
        self.destination.zero(extent)
    }

    fn sync(&self) -> io::Result<()> {
        self.destination.sync()
    }
}
