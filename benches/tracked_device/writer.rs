// SPDX-License-Identifier: GPL-3.0-or-later
//! Writes past the page cache, many at a time, with few system calls: io_uring.
//!
//! Half of what is in flight is waited for at a time, so that a system call takes that many writes along.

#![allow(unsafe_code)]

use std::{
    fs::File,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use era::sys::AlignedBuf;
use io_uring::{IoUring, opcode::Write, types::Fd};
use rustix::fs::OFlags;

use crate::random::Random;

pub struct Writer {
    file: File,
    ring: IoUring,
    buffer: AlignedBuf,
    in_flight: usize,
}

impl Writer {
    /// A writer of so many bytes at a time.
    pub fn open(device: &Path, write_bytes: u64, in_flight: usize) -> anyhow::Result<Self> {
        let flags = OFlags::DIRECT.bits().cast_signed();
        let file = File::options()
            .write(true)
            .custom_flags(flags)
            .open(device)
            .with_context(|| device.display().to_string())?;
        let mut buffer = AlignedBuf::new(usize::try_from(write_bytes)?, 4096);
        Random::new(write_bytes).fill(&mut buffer);
        let ring = IoUring::new(u32::try_from(in_flight)?).context("io_uring")?;
        Ok(Self { file, ring, buffer, in_flight })
    }

    /// Writes to all these places and says how long it took.
    pub fn write(&mut self, offsets: &[u64]) -> anyhow::Result<Duration> {
        let begin = Instant::now();
        let mut left = offsets.iter();
        let mut under_way = 0;
        let mut failed = None;
        loop {
            for offset in left.by_ref().take(self.in_flight - under_way) {
                self.push(*offset)?;
                under_way += 1;
            }
            if under_way == 0 {
                break;
            }
            // The last ones have no others to be submitted with.
            let wanted = if left.len() == 0 { under_way } else { under_way.div_ceil(2) };
            self.ring.submit_and_wait(wanted).context("io_uring")?;
            for completion in self.ring.completion() {
                under_way -= 1;
                if usize::try_from(completion.result()) != Ok(self.buffer.len()) {
                    failed = Some(completion.result());
                    // The others under way are waited for.
                    left = [].iter();
                }
            }
        }
        match failed {
            Some(result) => bail!("a write ended with {result}, its length or minus an errno"),
            None => Ok(begin.elapsed()),
        }
    }

    fn push(&mut self, offset: u64) -> anyhow::Result<()> {
        let (buffer, len) = (self.buffer.as_ptr(), u32::try_from(self.buffer.len())?);
        let entry = Write::new(Fd(self.file.as_raw_fd()), buffer, len).offset(offset).build();
        // SAFETY: the kernel only reads the buffer, which is never changed or moved, and `write` returns when all writes
        // are done. Only if the ring itself fails may some outlive it, and what these read is of no interest any more.
        unsafe { self.ring.submission().push(&entry) }
            .context("io_uring: more in flight than there is room for")
    }
}
