// SPDX-License-Identifier: GPL-3.0-or-later
//! A byte buffer whose address is a multiple of a power of two, as O_DIRECT demands.
//!
//! The alignment is made by allocating a little more and starting at the first aligned byte, which
//! needs no `unsafe` and no allocator tricks. The buffer never grows, so the address never moves.
//! Buffers for large transfers come several from one piece of memory, in huge pages.

use std::ops::{Deref, DerefMut};

use bytes::BytesMut;

use super::huge::huge;

/// A fixed-size, zero-initialized buffer aligned for direct I/O.
#[derive(Debug)]
pub struct AlignedBuf {
    memory: BytesMut,
}

impl AlignedBuf {
    /// `len` zero bytes at an address that is a multiple of `align`.
    ///
    /// # Panics
    /// When `align` is not a power of two.
    pub fn new(len: usize, align: usize) -> Self {
        assert!(align.is_power_of_two(), "alignment {align} is not a power of two");
        let mut memory = BytesMut::zeroed(len + align);
        let mut memory = memory.split_off(memory.as_ptr().align_offset(align));
        memory.truncate(len);
        Self { memory }
    }
}

/// Makes buffers of one length.
#[derive(Debug)]
pub struct AlignedBufs {
    len: usize,
    /// Where the next ones come from.
    rest: BytesMut,
}

impl AlignedBufs {
    /// Buffers of `len` bytes, at addresses that are multiples of the largest power of two that divides it.
    pub fn new(len: usize) -> Self {
        Self { len, rest: BytesMut::new() }
    }

    /// One more, of zero bytes.
    pub fn make(&mut self) -> AlignedBuf {
        if self.rest.len() < self.len {
            self.rest = huge(self.len);
        }
        AlignedBuf { memory: self.rest.split_to(self.len) }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_and_length_are_as_asked() {
        for align in [512, 4096, 65536] {
            let buf = AlignedBuf::new(3 * 4096, align);
            assert_eq!(buf.as_ptr().addr() % align, 0);
            assert_eq!(buf.len(), 3 * 4096);
        }
    }

    #[test]
    fn buffers_from_one_piece_of_memory_are_apart() {
        for len in [1 << 18, 3 << 18, 3 << 20] {
            let mut bufs = AlignedBufs::new(len);
            let mut some: Vec<_> = (1..20).map(|number| (number, bufs.make())).collect();
            for (number, buf) in &mut some {
                assert_eq!((buf.len(), buf.as_ptr().addr() % (1 << 18)), (len, 0));
                buf.fill(*number);
            }
            // Whoever made them may be gone.
            drop(bufs);
            assert!(some.iter().all(|(number, buf)| buf.iter().all(|byte| byte == number)));
        }
    }
}
