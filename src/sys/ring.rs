// SPDX-License-Identifier: GPL-3.0-or-later
//! io_uring for one descriptor: many reads or writes under way at a time, each with its own buffer.
//!
//! Invariant: from when a request is started until its completion is taken, its buffer is in a slot of the ring and nowhere else, so
//! that nobody can free, read or change it. Whatever ends a ring waits for all that the kernel has begun; should that not be
//! possible, the buffers are never freed. So the interface is safe.
//!
//! Requests are handed to the kernel in small batches: a system call for each would cost more than a small read.

#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use io_uring::{IoUring, Probe, opcode, types};
use rustix::io::Errno;

use super::AlignedBuf;

/// How often the kernel may say that it has no memory for requests, and how long to wait each time.
const PATIENCE: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(1);

/// What to do with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the descriptor into the buffer.
    Read,
    /// From the buffer to the descriptor.
    Write,
}

/// A ring whose requests all go to one descriptor.
pub struct Ring<'fd> {
    ring: IoUring,
    fd: BorrowedFd<'fd>,
    /// The buffers that are the kernel's.
    slots: Vec<Option<AlignedBuf>>,
    /// Requests that the kernel has not been told of.
    unsubmitted: usize,
}

/// A request that has ended.
pub struct Completion {
    /// Its slot, which is free again.
    pub slot: usize,
    /// Its buffer.
    pub buf: AlignedBuf,
    /// How many bytes were transferred.
    pub result: io::Result<usize>,
}

impl<'fd> Ring<'fd> {
    /// A ring for so many requests at a time; an error where this kernel, or a rule of this machine, has none.
    pub fn new(fd: BorrowedFd<'fd>, depth: u32) -> io::Result<Self> {
        let ring = IoUring::new(depth)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Read::CODE) || !probe.is_supported(opcode::Write::CODE) {
            return Err(Errno::NOSYS.into());
        }
        let slots = (0..depth).map(|_| None).collect();
        Ok(Self { ring, fd, slots, unsubmitted: 0 })
    }

    /// Begins a transfer between a part of a buffer and an offset.
    ///
    /// # Panics
    /// When the slot is in use or not one of this ring, or the part does not lie in the buffer.
    pub fn start(
        &mut self,
        slot: usize,
        direction: Direction,
        mut buf: AlignedBuf,
        part: Range<usize>,
        offset: u64,
    ) {
        assert!(self.slots[slot].is_none(), "slot {slot} is in use");
        let fd = types::Fd(self.fd.as_raw_fd());
        let bytes = &mut buf[part];
        let len = u32::try_from(bytes.len()).expect("buffers are far below 4 GiB");
        let entry = match direction {
            Direction::Read => opcode::Read::new(fd, bytes.as_mut_ptr(), len).offset(offset).build(),
            Direction::Write => opcode::Write::new(fd, bytes.as_ptr(), len).offset(offset).build(),
        }
        .user_data(slot as u64);
        // Before the kernel is told: the memory stays where it is when its owner moves.
        self.slots[slot] = Some(buf);
        // SAFETY: the memory is that of a buffer which the slot owns until the completion is taken, and which is not
        // freed before (see Drop); the descriptor is open as long as 'fd.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        // The queue has room for as many entries as there are slots.
        pushed.expect("there is room for a request of each slot");
        self.unsubmitted += 1;
        if self.unsubmitted * 4 >= self.slots.len() {
            // What fails here is tried again by whoever waits, and fails there.
            if let Ok(count) = self.ring.submit() {
                self.unsubmitted -= count;
            }
        }
    }

    /// Waits for any request to end.
    pub fn wait(&mut self) -> io::Result<Completion> {
        let mut patience = PATIENCE;
        loop {
            if let Some(completion) = self.completed() {
                return Ok(completion);
            }
            match self.ring.submit_and_wait(1) {
                Ok(count) => self.unsubmitted -= count,
                Err(e) => match Errno::from_io_error(&e) {
                    Some(Errno::INTR) => {}
                    Some(Errno::AGAIN | Errno::BUSY) if patience > 0 => {
                        patience -= 1;
                        std::thread::sleep(PAUSE);
                    }
                    _ => return Err(e),
                },
            }
        }
    }

    /// How many requests have not ended, as far as is known here.
    pub fn under_way(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    fn completed(&mut self) -> Option<Completion> {
        let entry = self.ring.completion().next()?;
        let slot = usize::try_from(entry.user_data()).expect("the number of a slot");
        let buf = self.slots[slot].take().expect("a request ends once");
        let result = match usize::try_from(entry.result()) {
            Ok(bytes) => Ok(bytes),
            Err(_) => Err(io::Error::from_raw_os_error(-entry.result())),
        };
        Some(Completion { slot, buf, result })
    }
}

impl Ring<'_> {
    /// Waits for all requests, whatever comes of them; returns how many there were.
    pub fn settle(&mut self) -> usize {
        let mut ended = 0;
        while self.under_way() > 0 {
            match self.wait() {
                Ok(_) => ended += 1,
                // The kernel may still write to them: better lost than used twice.
                Err(_) => mem::forget(mem::take(&mut self.slots)),
            }
        }
        ended
    }
}

impl Drop for Ring<'_> {
    fn drop(&mut self) {
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;

    use super::*;

    /// A ring, where this machine allows one.
    fn ring(file: &File, depth: u32) -> Option<Ring<'_>> {
        Ring::new(file.as_fd(), depth).ok()
    }

    #[test]
    fn it_reads_and_writes_at_offsets() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"0123456789", 0).unwrap();
        let Some(mut ring) = ring(&file, 4) else { return };
        let mut buf = AlignedBuf::new(8, 8);
        buf[2..5].copy_from_slice(b"abc");
        ring.start(3, Direction::Write, buf, 2..5, 4);
        let done = ring.wait().unwrap();
        assert_eq!((done.slot, done.result.unwrap()), (3, 3));
        ring.start(0, Direction::Read, done.buf, 0..8, 1);
        let done = ring.wait().unwrap();
        assert_eq!((done.slot, done.result.unwrap(), &done.buf[..]), (0, 8, &b"123abc78"[..]));
    }

    #[test]
    fn errors_are_those_of_the_system() {
        let file = File::open("/dev/null").unwrap();
        let Some(mut ring) = ring(&file, 2) else { return };
        ring.start(0, Direction::Write, AlignedBuf::new(8, 8), 0..8, 0);
        let e = ring.wait().unwrap().result.unwrap_err();
        assert_eq!(Errno::from_io_error(&e), Some(Errno::BADF));
    }

    #[test]
    fn what_is_under_way_is_waited_for() {
        let (reader, writer) = io::pipe().unwrap();
        let Ok(mut ring) = Ring::new(reader.as_fd(), 8) else { return };
        for slot in 0..8 {
            ring.start(slot, Direction::Read, AlignedBuf::new(8, 8), 0..8, u64::MAX);
        }
        assert_eq!(ring.under_way(), 8);
        // Nothing can be read, until the other end is gone.
        let other = std::thread::spawn(move || drop(writer));
        assert_eq!((ring.settle(), ring.under_way()), (8, 0));
        other.join().unwrap();
    }
}
