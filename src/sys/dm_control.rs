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

/// `struct dm_ioctl` of <linux/dm-ioctl.h>, which all requests begin with.
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

/// A request: what loading a table of one target takes; the other commands look at its head alone.
#[repr(C)]
#[derive(Clone)]
struct Message {
    head: DmIoctl,
    target: TargetSpec,
    params: [u8; PARAMS_BYTES],
}

/// `struct dm_target_spec`.
#[repr(C)]
#[derive(Clone)]
struct TargetSpec {
    sector_start: u64,
    length: u64,
    status: i32,
    next: u32,
    target_type: [u8; 16],
}

/// Room for a name, the zero at its end included.
const NAME_BYTES: usize = 128;

/// Room for the parameters of a linear target, `MAJOR:MINOR OFFSET`, the zero at their end included.
const PARAMS_BYTES: usize = 64;

/// `DM_IOCTL` and the numbers of the commands.
const DM_IOCTL: u8 = 0xfd;
const DM_DEV_SUSPEND: Opcode = opcode::read_write::<DmIoctl>(DM_IOCTL, 6);
const DM_TABLE_LOAD: Opcode = opcode::read_write::<DmIoctl>(DM_IOCTL, 9);
const DM_TABLE_CLEAR: Opcode = opcode::read_write::<DmIoctl>(DM_IOCTL, 10);

/// `DM_SUSPEND_FLAG`: suspend; resume without it.
const SUSPEND: u32 = 1 << 1;
/// `DM_SKIP_LOCKFS_FLAG`: leave the filesystem on it alone.
const SKIP_LOCKFS: u32 = 1 << 10;

/// A request to device-mapper that is ready to be issued.
#[derive(Clone)]
pub struct DmRequest {
    message: Message,
    command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    /// Suspends, or resumes without the flag.
    Suspend,
    Clear,
    Load,
}

impl DmRequest {
    fn new(name: &str, flags: u32, command: Command) -> io::Result<Self> {
        let head = DmIoctl {
            version: [4, 0, 0],
            data_size: HEAD_SIZE,
            data_start: HEAD_SIZE,
            target_count: 0,
            open_count: 0,
            flags,
            event_nr: 0,
            padding: 0,
            dev: 0,
            name: terminated(name)?,
            uuid: [0; 129],
            data: [0; 7],
        };
        let target = TargetSpec { sector_start: 0, length: 0, status: 0, next: 0, target_type: [0; 16] };
        Ok(Self { message: Message { head, target, params: [0; PARAMS_BYTES] }, command })
    }

    /// Holds new I/O back, waits for what is under way, and with `filesystem` freezes the filesystem on the device.
    pub fn suspend(name: &str, filesystem: bool) -> io::Result<Self> {
        Self::new(name, if filesystem { SUSPEND } else { SUSPEND | SKIP_LOCKFS }, Command::Suspend)
    }

    /// Resumes a device, putting a table that is loaded into use; nothing where it is not suspended and has no such
    /// table.
    pub fn resume(name: &str) -> io::Result<Self> {
        Self::new(name, SKIP_LOCKFS, Command::Suspend)
    }

    /// Forgets a table that is loaded and not in use.
    pub fn clear(name: &str) -> io::Result<Self> {
        Self::new(name, 0, Command::Clear)
    }

    /// Loads a table that passes everything to the device of this number, `MAJOR:MINOR`; the next resume puts it into use.
    pub fn load_linear(name: &str, sectors: u64, device: &str) -> io::Result<Self> {
        let mut request = Self::new(name, 0, Command::Load)?;
        let message = &mut request.message;
        message.head.data_size = SIZE;
        message.head.target_count = 1;
        message.target.length = sectors;
        message.target.next = SIZE - HEAD_SIZE;
        message.target.target_type = terminated("linear")?;
        message.params = terminated(&format!("{device} 0"))?;
        Ok(request)
    }

    /// Issues the request. May be repeated.
    pub fn issue(&self, control: &DmControl) -> io::Result<()> {
        // The kernel writes its answer over the request.
        let mut message = self.message.clone();
        match self.command {
            // SAFETY: the command reads and writes a dm_ioctl, which `message` begins with, and no more than `data_size`
            // says, which is at most the size of `message`.
            Command::Suspend => {
                unsafe { ioctl(control.as_fd(), Updater::<DM_DEV_SUSPEND, Message>::new(&mut message)) }?
            }
            // SAFETY: as above.
            Command::Clear => {
                unsafe { ioctl(control.as_fd(), Updater::<DM_TABLE_CLEAR, Message>::new(&mut message)) }?
            }
            // SAFETY: as above; behind the dm_ioctl stands one target, as `target_count` says, whose parameters end
            // with a zero.
            Command::Load => {
                unsafe { ioctl(control.as_fd(), Updater::<DM_TABLE_LOAD, Message>::new(&mut message)) }?
            }
        }
        Ok(())
    }
}

/// A text in a field of fixed size, with a zero at its end.
fn terminated<const N: usize>(text: &str) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    // The last byte stays zero.
    let room = bytes[..N - 1].get_mut(..text.len()).ok_or(io::ErrorKind::InvalidInput)?;
    room.copy_from_slice(text.as_bytes());
    Ok(bytes)
}

/// Bytes of a request, which the kernel is told: without and with a table.
const HEAD_SIZE: u32 = 312;
const SIZE: u32 = 416;
const _: () = assert!(size_of::<DmIoctl>() == HEAD_SIZE as usize && size_of::<Message>() == SIZE as usize);

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

    #[test]
    fn a_table_stands_behind_the_head() {
        let Message { head, target, params } =
            DmRequest::load_linear("vol", 8, "4294967295:4294967295").unwrap().message;
        assert_eq!((head.data_size, head.data_start, head.target_count), (416, 312, 1));
        assert_eq!((target.sector_start, target.length), (0, 8));
        assert!(target.target_type.starts_with(b"linear\0"));
        assert!(params.starts_with(b"4294967295:4294967295 0\0"));
    }
}
