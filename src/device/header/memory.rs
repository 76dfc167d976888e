// SPDX-License-Identifier: GPL-3.0-or-later
//! A device for tests that loses power.

use std::cell::{Cell, RefCell};
use std::io;

use crate::blockio::{ReadAt, WriteAt};
use crate::units::Extent;

pub(super) const SECTOR: usize = 512;

/// A device with a cache: what was not synced may be lost, sector by sector.
pub(super) struct Memory {
    cached: RefCell<Vec<u8>>,
    durable: RefCell<Vec<u8>>,
    /// So many bytes are written, then the power fails.
    pub(super) power: Cell<Option<usize>>,
    /// Touching any of these bytes is an I/O error.
    pub(super) bad: Cell<Option<Extent>>,
    /// Writes are accepted and forgotten.
    pub(super) lies: Cell<bool>,
}

impl Memory {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self {
            durable: RefCell::new(bytes.clone()),
            cached: RefCell::new(bytes),
            power: Cell::new(None),
            bad: Cell::new(None),
            lies: Cell::new(false),
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.cached.borrow().clone()
    }

    /// Flips a bit of a byte.
    pub(super) fn flip(&self, at: usize) {
        self.cached.borrow_mut()[at] ^= 0x10;
    }

    /// What is there after the power is back: of the sectors not synced those that `survives` says, by number.
    pub(super) fn after_crash(&self, survives: impl Fn(usize) -> bool) -> Self {
        let mut bytes = self.durable.borrow().clone();
        for (number, (old, new)) in
            bytes.chunks_mut(SECTOR).zip(self.cached.borrow().chunks(SECTOR)).enumerate()
        {
            if survives(number) {
                old.copy_from_slice(new);
            }
        }
        Self::new(bytes)
    }

    fn check(&self, offset: u64, len: usize) -> io::Result<()> {
        let is_bad = self.bad.get().is_some_and(|bad| offset < bad.end() && bad.offset < offset + len as u64);
        if is_bad || self.power.get() == Some(0) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
        }
        Ok(())
    }
}

impl ReadAt for Memory {
    fn size(&self) -> u64 {
        self.cached.borrow().len() as u64
    }

    fn align(&self) -> usize {
        SECTOR
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.check(offset, buf.len())?;
        buf.copy_from_slice(&self.cached.borrow()[offset as usize..][..buf.len()]);
        Ok(buf.len())
    }
}

impl WriteAt for Memory {
    fn size(&self) -> u64 {
        ReadAt::size(self)
    }

    fn can_grow(&self) -> bool {
        false
    }

    fn grow(&self, _size: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.check(offset, buf.len())?;
        let len = buf.len().min(self.power.get().unwrap_or(usize::MAX));
        self.power.set(self.power.get().map(|left| left - len));
        if !self.lies.get() {
            self.cached.borrow_mut()[offset as usize..][..len].copy_from_slice(&buf[..len]);
        }
        Ok(len)
    }

    fn zero(&self, extent: Extent) -> io::Result<()> {
        crate::blockio::write_full(self, &vec![0; extent.len as usize], extent.offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.check(0, 0)?;
        self.durable.borrow_mut().copy_from_slice(&self.cached.borrow());
        Ok(())
    }
}
