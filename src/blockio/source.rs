// SPDX-License-Identifier: GPL-3.0-or-later
//! A real device or file as a [`ReadAt`].

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::OFlags;

use super::ReadAt;
use crate::sys::{self, DeviceKind, Opened};

/// A device or file open for reading, past the page cache where possible.
#[derive(Debug)]
pub struct Source {
    opened: Opened,
    direct: Cell<bool>,
}

impl Source {
    /// Opens a data device or an image file.
    pub fn open(path: &Path) -> io::Result<Self> {
        sys::open_source(path).map(Self::new)
    }

    /// Opens a metadata device or file; with `exclusive`, a device that is in use is refused.
    pub fn open_metadata(path: &Path, exclusive: bool) -> io::Result<Self> {
        sys::open_metadata(path, exclusive).map(Self::new)
    }

    fn new(opened: Opened) -> Self {
        let direct = Cell::new(opened.direct);
        Self { opened, direct }
    }

    /// Goes on through the page cache where a file takes O_DIRECT at open but not at read. Never for a block
    /// device: there the page cache may hold stale data.
    fn leave_direct(&self) -> io::Result<()> {
        let flags = rustix::fs::fcntl_getfl(&self.opened.file)?;
        rustix::fs::fcntl_setfl(&self.opened.file, flags.difference(OFlags::DIRECT))?;
        self.direct.set(false);
        Ok(())
    }
}

impl ReadAt for Source {
    fn size(&self) -> u64 {
        self.opened.size
    }

    fn align(&self) -> usize {
        if self.direct.get() { self.opened.align } else { 1 }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.opened.file.read_at(buf, offset) {
            Err(e)
                if self.direct.get() && self.opened.kind == DeviceKind::File && sys::refuses_direct(&e) =>
            {
                self.leave_direct()?;
                self.opened.file.read_at(buf, offset)
            }
            result => result,
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.opened.file.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blockio::{read_exact, read_extents};
    use crate::sys::AlignedBuf;
    use crate::units::Extent;

    fn file_of(len: usize) -> (tempfile::NamedTempFile, Vec<u8>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let data: Vec<u8> = (0..len).map(|i| (i / 7 % 251) as u8).collect();
        std::fs::write(file.path(), &data).unwrap();
        (file, data)
    }

    #[test]
    fn reads_odd_ranges_of_an_odd_file() {
        let (file, data) = file_of(3 * 4096 + 123);
        let source = Source::open(file.path()).unwrap();
        for (offset, len) in [(0, 1), (4095, 2), (1, 12_000), (3 * 4096, 123), (12_410, 1)] {
            let mut read = Vec::new();
            read_extents(&source, [Extent { offset, len }], |piece| {
                read.extend_from_slice(piece.bytes);
                Ok::<_, anyhow::Error>(())
            })
            .unwrap();
            assert_eq!(read, data[offset as usize..][..len as usize], "{offset} {len}");
        }
    }

    #[test]
    fn leaving_direct_io_changes_nothing_but_the_alignment() {
        let (file, data) = file_of(2 * 4096);
        let source = Source::open(file.path()).unwrap();
        source.leave_direct().unwrap();
        assert_eq!(source.align(), 1);
        let mut buf = AlignedBuf::new(4096, 4096);
        read_exact(&source, &mut buf, 4096).unwrap();
        assert_eq!(buf[..], data[4096..]);
    }
}
