// SPDX-License-Identifier: GPL-3.0-or-later
//! Buffers that are used again and again, by whoever reads and by those who are given what was read.
//!
//! New memory costs as much as a copy. A [`Filled`] buffer can be kept, and taken to another thread; when it is dropped, it is
//! there for the next request. Whoever keeps them bounds how many there are. What was retired, or another
//! of its mapping, is not used again.

use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, PoisonError};

use crate::sys::{AlignedBuf, AlignedBufs};

/// A smaller request gains nothing from a huge page.
const MIN_BYTES_IN_HUGE_PAGE: usize = 64 << 10;

/// Buffers that nobody uses.
#[derive(Clone, Debug, Default)]
pub(super) struct Spare(Arc<Mutex<Vec<AlignedBuf>>>);

impl Spare {
    fn take(&self) -> Option<AlignedBuf> {
        let mut bufs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One of the same mapping was retired since it was put here.
        while bufs.pop_if(|buf| buf.is_worn()).is_some() {}
        bufs.pop()
    }

    fn put(&self, buf: AlignedBuf) {
        if !buf.is_worn() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buf);
        }
    }
}

/// Buffers for the requests of one reader.
pub(super) struct Buffers {
    /// The largest request, before it is widened to the alignment.
    most: usize,
    /// Whether this is not the first request: for a single one, which may be small, a huge page costs more than it saves.
    has_begun: bool,
    make_large: AlignedBufs,
    large: Spare,
    others: Spare,
}

impl Buffers {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            has_begun: false,
            make_large: AlignedBufs::new(most),
            large: Spare::default(),
            others: Spare::default(),
        }
    }

    /// A buffer with room for so many bytes, of which widening added less than the alignment at either end; and where it goes
    /// when it is not needed any more.
    pub(super) fn get(&mut self, span: usize, align: usize) -> (AlignedBuf, Spare) {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let fits = span <= self.most && span >= MIN_BYTES_IN_HUGE_PAGE && self.most.is_multiple_of(align);
        if fits && !is_first {
            let buf = self.large.take().unwrap_or_else(|| self.make_large.make());
            return (buf, self.large.clone());
        }
        let make = || AlignedBuf::new(self.most + 2 * align, align);
        (self.others.take().unwrap_or_else(make), self.others.clone())
    }
}

/// Bytes that were read, in a buffer that goes back when this is dropped.
#[derive(Debug)]
pub struct Filled {
    /// There until then.
    buf: Option<AlignedBuf>,
    part: Range<usize>,
    home: Spare,
}

impl Filled {
    pub(super) fn new(buf: AlignedBuf, part: Range<usize>, home: Spare) -> Self {
        Self { buf: Some(buf), part, home }
    }

    /// A part of it, as the buffer that it is in and where in that it is.
    pub(crate) fn place(&self, part: Range<usize>) -> Option<(&AlignedBuf, Range<usize>)> {
        let buf = self.buf.as_ref()?;
        Some((buf, self.part.start + part.start..self.part.start + part.end))
    }
}

impl Deref for Filled {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buf.as_ref().map_or(&[], |buf| &buf[self.part.clone()])
    }
}

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        if let Some(buf) = self.buf.take() {
            self.home.put(buf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_there_again_when_nobody_has_what_is_in_it() {
        let mut buffers = Buffers::new(1 << 18);
        // The first one is not in a huge page.
        assert_eq!(buffers.get(1 << 18, 512).0.len(), (1 << 18) + 1024);
        for (span, align, room) in [(1 << 18, 4096, 1 << 18), (4096, 512, (1 << 18) + 1024)] {
            let (buf, home) = buffers.get(span, align);
            let at = buf.as_ptr();
            assert_eq!((buf.len(), at.addr() % align), (room, 0));
            let filled = Filled::new(buf, 3..10, home);
            assert_eq!(filled.len(), 7);
            let (other, _home) = buffers.get(span, align);
            assert_ne!(other.as_ptr(), at);
            drop(filled);
            assert_eq!(buffers.get(span, align).0.as_ptr(), at);
        }
        // Retired, so it is not used again.
        let (buf, home) = buffers.get(1 << 18, 4096);
        let at = buf.as_ptr();
        assert!(buf.retire());
        drop(Filled::new(buf, 0..9, home));
        let (buf, _home) = buffers.get(1 << 18, 4096);
        assert_ne!(buf.as_ptr(), at);
        // Widened: larger than the requests.
        assert!(buffers.get((1 << 18) + 4096, 4096).0.len() >= (1 << 18) + 4096);
    }
}
