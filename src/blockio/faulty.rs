// SPDX-License-Identifier: GPL-3.0-or-later
//! A device for tests that does everything a real one may do wrong.

use std::cell::{Cell, RefCell};
use std::io;

use super::{ReadAt, WriteAt};
use crate::units::Extent;

/// What the device holds at an offset.
pub(crate) fn pattern(offset: u64) -> u8 {
    (offset ^ (offset >> 8) ^ (offset >> 16)) as u8
}

/// A readable pattern and a writable memory of fixed size, with faults to switch on.
pub(crate) struct Faulty {
    size: u64,
    align: usize,
    /// Transfers at most this many bytes at once.
    pub(crate) short: Option<usize>,
    /// Every n-th call is interrupted by a signal.
    pub(crate) interrupt_every: Option<u32>,
    /// Touching any of these bytes is an I/O error.
    pub(crate) bad: Option<Extent>,
    /// Reads end here, whatever the size says.
    pub(crate) ends_at: u64,
    /// Writes take no byte and report no error.
    pub(crate) stuck: bool,
    /// Syncing fails.
    pub(crate) bad_sync: bool,
    calls: Cell<u32>,
    pub(crate) written: RefCell<Vec<u8>>,
}

impl Faulty {
    pub(crate) fn new(size: u64, align: usize) -> Self {
        Self {
            size,
            align,
            short: None,
            interrupt_every: None,
            bad: None,
            ends_at: size,
            stuck: false,
            bad_sync: false,
            calls: Cell::new(0),
            written: RefCell::new(vec![0xee; size as usize]),
        }
    }

    fn transfer(&self, offset: u64, len: usize) -> io::Result<usize> {
        assert!(offset.is_multiple_of(self.align as u64), "unaligned offset {offset}");
        self.calls.set(self.calls.get() + 1);
        if self.interrupt_every.is_some_and(|n| self.calls.get().is_multiple_of(n)) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = len.min(self.short.unwrap_or(len));
        if self.bad.is_some_and(|bad| offset < bad.end() && bad.offset < offset + len as u64) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
        }
        Ok(len)
    }
}

impl ReadAt for Faulty {
    fn size(&self) -> u64 {
        self.size
    }

    fn align(&self) -> usize {
        self.align
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        assert!(buf.len().is_multiple_of(self.align), "unaligned length {}", buf.len());
        assert!(buf.as_ptr().addr().is_multiple_of(self.align), "unaligned memory");
        let len = self.transfer(offset, buf.len())?.min(self.ends_at.saturating_sub(offset) as usize);
        for (byte, at) in buf[..len].iter_mut().zip(offset..) {
            *byte = pattern(at);
        }
        Ok(len)
    }
}

impl WriteAt for Faulty {
    fn size(&self) -> u64 {
        self.size
    }

    fn can_grow(&self) -> bool {
        false
    }

    fn grow(&self, _size: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        if self.stuck {
            return Ok(0);
        }
        let len = self.transfer(offset, buf.len())?;
        self.written.borrow_mut()[offset as usize..][..len].copy_from_slice(&buf[..len]);
        Ok(len)
    }

    fn zero(&self, extent: Extent) -> io::Result<()> {
        self.transfer(extent.offset, extent.len as usize)?;
        self.written.borrow_mut()[extent.offset as usize..extent.end() as usize].fill(0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if self.bad_sync { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}
