// SPDX-License-Identifier: GPL-3.0-or-later
//! Suspending and resuming device-mapper devices with one system call each and nothing around it.
//!
//! While the device below the root filesystem is suspended, a process may not touch a page that is not in memory,
//! wait for udev, or need memory that only writing to that device could free. So these requests are made before, of
//! fixed size, and issuing one is an ioctl and nothing else. Everything that may take its time is done with the crate
//! `devicemapper` instead.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

/// `struct dm_ioctl` of <linux/dm-ioctl.h>, without a payload.
#[repr(C)]
#[derive(Clone)]
struct DmIoctl {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    name: [u8; NAME_BYTES],
    uuid: [u8; 129],
    data: [u8; 7],
}

/// Room for a name, the zero at its end included.
const NAME_BYTES: usize = 128;

/// `DM_IOCTL` and the numbers of the commands.
const DM_IOCTL: u8 = 0xfd;
const DM_DEV_SUSPEND: Opcode = opcode::read_write::<DmIoctl>(DM_IOCTL, 6);
const DM_TABLE_CLEAR: Opcode = opcode::read_write::<DmIoctl>(DM_IOCTL, 10);

/// `DM_SUSPEND_FLAG`: suspend; resume without it.
const SUSPEND: u32 = 1 << 1;
/// `DM_SKIP_LOCKFS_FLAG`: leave the filesystem on it alone.
const SKIP_LOCKFS: u32 = 1 << 10;

/// A request to device-mapper that is ready to be issued.
#[derive(Clone)]
pub struct DmRequest {
    request: DmIoctl,
    clears: bool,
}

impl DmRequest {
    fn new(name: &str, flags: u32, clears: bool) -> io::Result<Self> {
        let mut bytes = [0; NAME_BYTES];
        // The last byte stays zero.
        let room = bytes[..NAME_BYTES - 1].get_mut(..name.len()).ok_or(io::ErrorKind::InvalidInput)?;
        room.copy_from_slice(name.as_bytes());
        let request = DmIoctl {
            version: [4, 0, 0],
            data_size: SIZE,
            data_start: SIZE,
            target_count: 0,
            open_count: 0,
            flags,
            event_nr: 0,
            padding: 0,
            dev: 0,
            name: bytes,
            uuid: [0; 129],
            data: [0; 7],
        };
        Ok(Self { request, clears })
    }

    /// Holds new I/O back, waits for what is under way, and with `filesystem` freezes the filesystem on the device.
    pub fn suspend(name: &str, filesystem: bool) -> io::Result<Self> {
        Self::new(name, if filesystem { SUSPEND } else { SUSPEND | SKIP_LOCKFS }, false)
    }

    /// Resumes a device, putting a table that is loaded into use; nothing where it is not suspended and has no such
    /// table.
    pub fn resume(name: &str) -> io::Result<Self> {
        Self::new(name, SKIP_LOCKFS, false)
    }

    /// Forgets a table that is loaded and not in use.
    pub fn clear(name: &str) -> io::Result<Self> {
        Self::new(name, 0, true)
    }

    /// Issues the request. May be repeated.
    pub fn issue(&self, control: &DmControl) -> io::Result<()> {
        // The kernel writes its answer over the request.
        let mut request = self.request.clone();
        if self.clears {
            // SAFETY: the command reads and writes a dm_ioctl, which `request` is, of the size that `data_size` says.
            unsafe { ioctl(control.as_fd(), Updater::<DM_TABLE_CLEAR, DmIoctl>::new(&mut request)) }?;
        } else {
            // SAFETY: as above.
            unsafe { ioctl(control.as_fd(), Updater::<DM_DEV_SUSPEND, DmIoctl>::new(&mut request)) }?;
        }
        Ok(())
    }
}

/// Bytes of a request, which the kernel is told.
const SIZE: u32 = 312;
const _: () = assert!(size_of::<DmIoctl>() == SIZE as usize);

/// The connection to device-mapper.
#[derive(Debug)]
pub struct DmControl(File);

impl DmControl {
    /// Connects to device-mapper.
    pub fn open() -> io::Result<Self> {
        File::options().read(true).write(true).open("/dev/mapper/control").map(Self)
    }
}

impl AsFd for DmControl {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_must_leave_room_for_the_zero_at_their_end() {
        assert!(DmRequest::resume(&"x".repeat(127)).is_ok());
        assert!(DmRequest::resume(&"x".repeat(128)).is_err());
    }
}
