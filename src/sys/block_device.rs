// SPDX-License-Identifier: GPL-3.0-or-later
//! Opening devices and files with the flags that keep data right.
//!
//! - Data is read with O_DIRECT: a buffered read of a block device does not see what a mounted
//!   filesystem wrote. A block device always allows it; a file may not (tmpfs before Linux 6.6), and is then
//!   read through the page cache, which is coherent for files.
//! - A block device that is written is opened with O_EXCL, which the kernel refuses while it is mounted
//!   or held by another device-mapper, md or loop device.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// What kind of thing a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A block device.
    Block,
    /// A regular file.
    File,
}

/// An open device or file and the facts that reading and writing depend on.
#[derive(Debug)]
pub struct Opened {
    /// The descriptor.
    pub file: File,
    /// Block device or regular file.
    pub kind: DeviceKind,
    /// Size in bytes when it was opened.
    pub size: u64,
    /// Direct I/O must start and end at multiples of this many bytes, and so must its memory.
    pub align: usize,
    /// Whether the descriptor is open with O_DIRECT.
    pub direct: bool,
    /// Whether opening created the file.
    pub created: bool,
}

/// The least alignment used, also where the device would allow 512: the page size that files on 4Kn disks need.
const MIN_ALIGN: usize = 4096;

/// Opens a data device or an image file for reading.
pub fn open_source(path: &Path) -> io::Result<Opened> {
    open_for_reading(path, OFlags::empty())
}

/// Opens a metadata device or file for reading; `exclusive` refuses a block device that is in use.
pub fn open_metadata(path: &Path, exclusive: bool) -> io::Result<Opened> {
    open_for_reading(path, if exclusive { OFlags::EXCL } else { OFlags::empty() })
}

/// Opens a destination for writing, creating a missing file; `exclusive` refuses a block device that is in use.
pub fn open_destination(path: &Path, exclusive: bool) -> io::Result<Opened> {
    open_to_write(path, exclusive, OpenOptions::new().write(true))
}

/// Opens a file for reading and writing through the page cache, creating a missing one; a block device that is in
/// use is refused.
pub fn open_both(path: &Path) -> io::Result<Opened> {
    open_to_write(path, true, OpenOptions::new().read(true).write(true))
}

/// Opens a file or block device for reading through the page cache: for those that only we write to.
pub fn open_buffered(path: &Path) -> io::Result<Opened> {
    kind_of(path)?;
    describe(OpenOptions::new().read(true).open(path)?, false)
}

fn open_to_write(path: &Path, exclusive: bool, options: &mut OpenOptions) -> io::Result<Opened> {
    match kind_of(path) {
        // O_EXCL on a block device, without O_CREAT, means "nobody else holds it".
        Ok(DeviceKind::Block) if exclusive => {
            describe(options.custom_flags(flags(OFlags::EXCL)).open(path)?, false)
        }
        Ok(DeviceKind::Block | DeviceKind::File) => describe(options.open(path)?, false),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let mut opened = describe(options.create(true).mode(0o644).open(path)?, false)?;
            opened.created = true;
            Ok(opened)
        }
        Err(e) => Err(e),
    }
}

fn open_for_reading(path: &Path, extra: OFlags) -> io::Result<Opened> {
    let kind = kind_of(path)?;
    // O_EXCL without O_CREAT is undefined for regular files.
    let extra = if kind == DeviceKind::Block { extra } else { OFlags::empty() };
    let open = |extra: OFlags| OpenOptions::new().read(true).custom_flags(flags(extra)).open(path);
    match open(extra | OFlags::DIRECT) {
        Ok(file) => describe(file, true),
        Err(e) if kind == DeviceKind::File && refuses_direct(&e) => describe(open(extra)?, false),
        Err(e) => Err(e),
    }
}

/// Whether an error is how filesystems say that they cannot do this direct I/O.
pub fn refuses_direct(e: &io::Error) -> bool {
    matches!(Errno::from_io_error(e), Some(Errno::INVAL | Errno::OPNOTSUPP))
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

fn kind_of(path: &Path) -> io::Result<DeviceKind> {
    file_kind(std::fs::metadata(path)?.file_type())
}

fn file_kind(file_type: std::fs::FileType) -> io::Result<DeviceKind> {
    if file_type.is_block_device() {
        Ok(DeviceKind::Block)
    } else if file_type.is_file() {
        Ok(DeviceKind::File)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a block device nor a regular file"))
    }
}

fn describe(mut file: File, direct: bool) -> io::Result<Opened> {
    let kind = file_kind(file.metadata()?.file_type())?;
    let size = file.seek(SeekFrom::End(0))?;
    let sector = match kind {
        DeviceKind::Block => rustix::fs::ioctl_blksszget(&file)? as usize,
        DeviceKind::File => MIN_ALIGN,
    };
    Ok(Opened { file, kind, size, align: sector.max(MIN_ALIGN), direct, created: false })
}
