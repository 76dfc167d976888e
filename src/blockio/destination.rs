// SPDX-License-Identifier: GPL-3.0-or-later
//! A real device or file as a [`WriteAt`].

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::early::Early;
use super::{ReadAt, WriteAt, write_full};
use crate::sys::{self, DeviceKind, Opened};
use crate::units::Extent;

/// Bytes of zeros written at once where no range operation is supported.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// A device or file open for writing.
#[derive(Debug)]
pub struct Destination {
    path: PathBuf,
    opened: Opened,
    /// The cheapest way to make zeros that this destination has not refused yet.
    zeroing: Cell<Zeroing>,
    early: Early,
}

/// Ways to make a range read as zeros, each tried when the one before is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zeroing {
    /// Gives space back. On a block device the kernel does this only where the device promises that what is
    /// discarded reads as zeros.
    Punch,
    /// The kernel writes zeros, or has the device do it; in a file, the range keeps its space.
    ZeroRange,
    /// Plain writes.
    Write,
}

impl Destination {
    /// Opens a destination, creating a missing file. A block device that is mounted or otherwise held is refused.
    pub fn open(path: &Path) -> io::Result<Self> {
        sys::open_destination(path, true).map(|opened| Self::new(path, opened))
    }

    /// Opens a block device though it may be held: for a part of it that whoever holds it leaves alone.
    pub fn open_held(path: &Path) -> io::Result<Self> {
        sys::open_destination(path, false).map(|opened| Self::new(path, opened))
    }

    /// Opens a file, creating a missing one, that is read as well, through the page cache.
    pub fn open_both(path: &Path) -> io::Result<Self> {
        sys::open_both(path).map(|opened| Self::new(path, opened))
    }

    /// Opens the same for reading only.
    pub fn open_to_read(path: &Path) -> io::Result<Self> {
        sys::open_buffered(path).map(|opened| Self::new(path, opened))
    }

    /// How long it is now.
    pub fn size_now(&self) -> io::Result<u64> {
        match self.opened.kind {
            DeviceKind::File => Ok(self.opened.file.metadata()?.len()),
            DeviceKind::Block => Ok(self.opened.size),
        }
    }

    /// Where data come next from an offset on, which may be that offset; `None` where only a hole follows.
    pub fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        match rustix::fs::seek(&self.opened.file, rustix::fs::SeekFrom::Data(offset)) {
            Ok(at) => Ok(Some(at)),
            Err(Errno::NXIO) => Ok(None),
            // Not every filesystem, nor any block device, tells.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok((offset < self.size_now()?).then_some(offset)),
            Err(e) => Err(e.into()),
        }
    }

    /// Makes a range read as zeros, and keeps its space: other data can be written there on a disk that is full.
    pub fn zero_in_place(&self, extent: Extent) -> io::Result<()> {
        self.zero_from(&mut Zeroing::ZeroRange, extent)
    }

    fn new(path: &Path, opened: Opened) -> Self {
        Self { path: path.to_owned(), opened, zeroing: Cell::new(Zeroing::Punch), early: Early::default() }
    }

    fn try_zero(&self, how: Zeroing, extent: Extent) -> io::Result<()> {
        let fallocate = |flags| rustix::fs::fallocate(&self.opened.file, flags, extent.offset, extent.len);
        match how {
            Zeroing::Punch => fallocate(FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE)?,
            Zeroing::ZeroRange => fallocate(FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE)?,
            Zeroing::Write => self.write_zeros(extent)?,
        }
        Ok(())
    }

    /// Zeros a range in the cheapest way from `how` on that is not refused; `how` becomes that.
    fn zero_from(&self, how: &mut Zeroing, extent: Extent) -> io::Result<()> {
        loop {
            let next = match (*how, self.opened.kind) {
                (Zeroing::Punch, DeviceKind::Block) => Zeroing::ZeroRange,
                (Zeroing::Punch, DeviceKind::File) | (Zeroing::ZeroRange, _) => Zeroing::Write,
                (Zeroing::Write, _) => return self.try_zero(*how, extent),
            };
            match self.try_zero(*how, extent) {
                Err(e) if Errno::from_io_error(&e) == Some(Errno::INTR) => {}
                // EINVAL: this range is not a multiple of the device's sector; only this one is written plainly.
                Err(e) if Errno::from_io_error(&e) == Some(Errno::INVAL) => {
                    return self.try_zero(Zeroing::Write, extent);
                }
                Err(e) if Errno::from_io_error(&e) == Some(Errno::OPNOTSUPP) => *how = next,
                result => return result,
            }
        }
    }

    fn write_zeros(&self, extent: Extent) -> io::Result<()> {
        let mut offset = extent.offset;
        while offset < extent.end() {
            let len = (extent.end() - offset).min(ZEROS.len() as u64);
            write_full(self, &ZEROS[..usize::try_from(len).unwrap_or(ZEROS.len())], offset)?;
            offset += len;
        }
        Ok(())
    }
}

impl AsFd for Destination {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.opened.file.as_fd()
    }
}

impl ReadAt for Destination {
    fn size(&self) -> u64 {
        self.opened.size
    }

    fn align(&self) -> usize {
        1
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.opened.file.read_at(buf, offset)
    }
}

impl WriteAt for Destination {
    fn size(&self) -> u64 {
        self.opened.size
    }

    fn can_grow(&self) -> bool {
        self.opened.kind == DeviceKind::File
    }

    fn grow(&self, size: u64) -> io::Result<()> {
        self.opened.file.set_len(size)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let written = self.opened.file.write_at(buf, offset)?;
        self.early.wrote(&self.opened.file, offset, written as u64)?;
        Ok(written)
    }

    fn zero(&self, extent: Extent) -> io::Result<()> {
        let mut how = self.zeroing.get();
        let result = self.zero_from(&mut how, extent);
        self.zeroing.set(how);
        result
    }

    fn sync(&self) -> io::Result<()> {
        self.opened.file.sync_all()?;
        if self.opened.created {
            // A new file is durable only with its directory entry.
            let parent = match self.path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn zeros_are_read_back_whichever_way_they_were_made() {
        for how in [Zeroing::Punch, Zeroing::Write] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("image");
            std::fs::write(&path, vec![0xaa; 300_000]).unwrap();
            let destination = Destination::open(&path).unwrap();
            destination.zeroing.set(how);
            destination.zero(Extent { offset: 1000, len: 200_000 }).unwrap();
            let data = std::fs::read(&path).unwrap();
            assert!(data[..1000].iter().chain(&data[201_000..]).all(|&b| b == 0xaa), "{how:?}");
            assert!(data[1000..201_000].iter().all(|&b| b == 0), "{how:?}");
            assert_eq!(data.len(), 300_000);
        }
    }

    #[test]
    fn zeros_in_place_keep_their_space() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        std::fs::write(&path, vec![0xaa; 1 << 20]).unwrap();
        let destination = Destination::open(&path).unwrap();
        destination.zero_in_place(Extent { offset: 4096, len: 1 << 19 }).unwrap();
        destination.sync().unwrap();
        assert!(std::fs::metadata(&path).unwrap().blocks() >= 1 << 11);
        let data = std::fs::read(&path).unwrap();
        assert!(data[4096..][..1 << 19].iter().all(|&byte| byte == 0));
        assert_eq!((data[4095], data[4096 + (1 << 19)]), (0xaa, 0xaa));
    }

    #[test]
    fn punched_space_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        std::fs::write(&path, vec![0xaa; 1 << 20]).unwrap();
        let destination = Destination::open(&path).unwrap();
        destination.zero(Extent { offset: 0, len: 1 << 20 }).unwrap();
        destination.sync().unwrap();
        // A filesystem without holes writes the zeros instead.
        if destination.zeroing.get() == Zeroing::Punch {
            assert_eq!(std::fs::metadata(&path).unwrap().blocks(), 0);
        }
    }

    #[test]
    fn a_missing_file_is_created_and_other_things_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let destination = Destination::open(&dir.path().join("new")).unwrap();
        destination.sync().unwrap();
        assert_eq!((destination.can_grow(), WriteAt::size(&destination)), (true, 0));
        assert!(Destination::open(dir.path()).is_err());
        assert!(Destination::open(Path::new("/dev/null")).is_err());
    }
}
