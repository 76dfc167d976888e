// SPDX-License-Identifier: GPL-3.0-or-later
//! Memory for large transfers, in huge pages where the kernel has them.
//!
//! A direct transfer from or to ordinary memory is a list of pages of 4 KiB; each has to be looked up, and each may become an
//! element of the request that the disk gets. In a huge page the same transfer is one element.
//!
//! A part of such memory can be retired: from then on nobody writes to it, ever, so that it can be handed to others who read it at a time
//! that we do not learn of. Unlike memory of the heap, a mapping goes back to the kernel when it is dropped, and whoever
//! has some of its pages still keeps them as they are.
//!
//! Invariant: a byte of a mapping belongs to at most one [`HugePart`], and is written only through it, before that is retired.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// Of a huge page, on the processors that have pages of 4 KiB.
const HUGE_BYTES: usize = 2 << 20;

#[derive(Debug)]
struct Mapping {
    /// All that is mapped, which is more than is used: a mapping may begin anywhere.
    mapped: NonNull<c_void>,
    mapped_bytes: usize,
    /// Some part of it is retired, so that it is all kept for less than it could be of use for.
    is_worn: AtomicBool,
}

// SAFETY: plain memory, which no thread owns; who may touch it when is the business of the parts.
unsafe impl Send for Mapping {}
// SAFETY: the same.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: no part is left, and nothing else was told of the address.
        let unmapped = unsafe { munmap(self.mapped.as_ptr(), self.mapped_bytes) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

/// A part of a mapping.
#[derive(Debug)]
pub(super) struct HugePart {
    mapping: Arc<Mapping>,
    start: NonNull<u8>,
    len: usize,
    is_retired: AtomicBool,
}

// SAFETY: a part is the only way to its bytes, as a `Box<[u8]>` is; the mapping is `Send` and `Sync`.
unsafe impl Send for HugePart {}
// SAFETY: the same.
unsafe impl Sync for HugePart {}

impl HugePart {
    /// Zero bytes that begin where a huge page may, and are as many as fill huge pages: at least so many.
    ///
    /// Memory is used only as it is touched; where there are no huge pages, it is memory like any other.
    pub(super) fn new(len: usize) -> io::Result<Self> {
        let len = len.next_multiple_of(HUGE_BYTES);
        let mapped_bytes = len + HUGE_BYTES;
        // SAFETY: a new mapping, where the kernel finds room for it.
        let mapped = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                mapped_bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }?;
        let Some(mapped) = NonNull::new(mapped) else { return Err(io::ErrorKind::OutOfMemory.into()) };
        let mapping = Mapping { mapped, mapped_bytes, is_worn: AtomicBool::new(false) };
        let before = mapped.cast::<u8>().align_offset(HUGE_BYTES).min(HUGE_BYTES);
        // SAFETY: at most a huge page into a mapping that is a huge page longer than what is used.
        let start = unsafe { mapped.cast::<u8>().add(before) };
        // SAFETY: advice for a range that is ours; it changes how memory is provided, not what is in it.
        // A kernel without huge pages refuses it, which does not matter.
        let _ = unsafe { madvise(start.as_ptr().cast(), len, Advice::LinuxHugepage) };
        Ok(Self { mapping: Arc::new(mapping), start, len, is_retired: AtomicBool::new(false) })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Takes the first so many bytes off.
    ///
    /// # Panics
    /// When there are not so many, or they are retired.
    pub(super) fn split_to(&mut self, len: usize) -> Self {
        assert!(len <= self.len && !*self.is_retired.get_mut(), "{len} bytes of {}", self.len);
        let is_retired = AtomicBool::new(false);
        let first = Self { mapping: self.mapping.clone(), start: self.start, len, is_retired };
        // SAFETY: not past the end of this part.
        self.start = unsafe { self.start.add(len) };
        self.len -= len;
        first
    }

    /// This part is not written to from now on.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
        self.mapping.is_worn.store(true, Ordering::Release);
    }

    /// Whether this part or another of its mapping is retired.
    pub(super) fn is_worn(&self) -> bool {
        self.mapping.is_worn.load(Ordering::Acquire)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the bytes are mapped as long as the part is there, begin as zeros, and only this part leads to them.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// To be written to.
    ///
    /// # Panics
    /// When it is retired.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        assert!(!*self.is_retired.get_mut(), "somebody may still read this memory");
        // SAFETY: as above, and `self` is borrowed alone.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_large_as_asked_and_aligned() {
        for (asked, got) in [(1, HUGE_BYTES), (HUGE_BYTES, HUGE_BYTES), (HUGE_BYTES + 1, 2 * HUGE_BYTES)] {
            let memory = HugePart::new(asked).unwrap();
            assert_eq!((memory.len(), memory.bytes().as_ptr().addr() % HUGE_BYTES), (got, 0));
            assert!(memory.bytes().iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn parts_are_apart_and_outlive_each_other() {
        let mut rest = HugePart::new(HUGE_BYTES).unwrap();
        let mut first = rest.split_to(1000);
        first.bytes_mut().fill(1);
        rest.bytes_mut().fill(2);
        drop(rest);
        assert_eq!(first.bytes(), [1; 1000]);
    }

    #[test]
    #[should_panic(expected = "somebody may still read")]
    fn retired_memory_is_not_written_to() {
        let mut rest = HugePart::new(HUGE_BYTES).unwrap();
        let mut first = rest.split_to(1000);
        first.retire();
        rest.bytes_mut().fill(1);
        assert!(rest.is_worn());
        first.bytes_mut();
    }
}
