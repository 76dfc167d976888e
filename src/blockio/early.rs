// SPDX-License-Identifier: GPL-3.0-or-later
//! What was written goes to the disk in the background, while more arrives.
//!
//! Otherwise the kernel gathers it in memory and the sync at the end waits for everything at once: the disk rests first, and the
//! program then. This does for writing what a deep queue does for reading. Direct I/O with as many requests was not faster on the
//! disk that was measured, and slower for new files; through the page cache the order of writes that
//! overlap is kept, and none has to be aligned.

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;

use crate::sys;

/// So much is gathered: enough to give a disk large requests.
const BATCH_BYTES: u64 = 8 << 20;

/// What was written since the disk was last told.
#[derive(Debug, Default)]
pub(super) struct Early {
    batch: Cell<Batch>,
}

#[derive(Clone, Copy, Debug)]
struct Batch {
    /// From the first byte to after the last.
    begin: u64,
    end: u64,
    bytes: u64,
}

impl Default for Batch {
    fn default() -> Self {
        Self { begin: u64::MAX, end: 0, bytes: 0 }
    }
}

impl Batch {
    fn with(self, offset: u64, len: u64) -> Self {
        Self { begin: self.begin.min(offset), end: self.end.max(offset + len), bytes: self.bytes + len }
    }

    fn is_full(self) -> bool {
        self.bytes >= BATCH_BYTES
    }
}

impl Early {
    /// Some bytes were written.
    pub(super) fn wrote(&self, file: impl AsFd, offset: u64, len: u64) -> io::Result<()> {
        let batch = self.batch.get().with(offset, len);
        if !batch.is_full() {
            self.batch.set(batch);
            return Ok(());
        }
        self.batch.set(Batch::default());
        match sys::begin_writeback(file, batch.begin, batch.end - batch.begin) {
            // Some filesystems do not know how; the sync does it all then.
            Err(e)
                if matches!(
                    Errno::from_io_error(&e),
                    Some(Errno::INVAL | Errno::SPIPE | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INTR)
                ) =>
            {
                Ok(())
            }
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_spans_all_that_was_written() {
        let batch = Batch::default().with(50, 10).with(20, 5).with(30, 1);
        assert_eq!((batch.begin, batch.end, batch.bytes, batch.is_full()), (20, 60, 16, false));
        assert!(batch.with(0, BATCH_BYTES - 16).is_full());
    }

    #[test]
    fn a_file_takes_the_hint_and_begins_anew() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(2 * BATCH_BYTES).unwrap();
        let early = Early::default();
        early.wrote(&file, 0, BATCH_BYTES - 1).unwrap();
        assert_eq!(early.batch.get().bytes, BATCH_BYTES - 1);
        early.wrote(&file, BATCH_BYTES - 1, 1).unwrap();
        assert_eq!(early.batch.get().bytes, 0);
    }
}
