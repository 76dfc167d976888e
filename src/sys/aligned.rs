// SPDX-License-Identifier: GPL-3.0-or-later
//! A byte buffer whose address is a multiple of a power of two, as O_DIRECT demands.
//!
//! The alignment is made by allocating a little more and starting at the first aligned byte, which
//! needs no `unsafe` and no allocator tricks. The buffer never grows, so the address never moves.
//! Buffers for large transfers come several from one mapping, in huge pages.

use std::ops::{Deref, DerefMut};

use bytes::BytesMut;

use super::huge::HugePart;

/// A fixed-size, zero-initialized buffer aligned for direct I/O.
#[derive(Debug)]
pub struct AlignedBuf {
    memory: Memory,
}

#[derive(Debug)]
enum Memory {
    Heap(BytesMut),
    Huge(HugePart),
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
        Self { memory: Memory::Heap(memory) }
    }

    /// Makes sure that nobody writes to this memory ever again: to try it is a panic. `false` where that cannot be, as the memory will
    /// be used for something else.
    pub fn retire(&self) -> bool {
        match &self.memory {
            Memory::Heap(_) => false,
            Memory::Huge(part) => {
                part.retire();
                true
            }
        }
    }

    /// Whether it, or another buffer of its mapping, is retired: to use it again would keep more memory than it has.
    pub fn is_worn(&self) -> bool {
        matches!(&self.memory, Memory::Huge(part) if part.is_worn())
    }
}

/// Makes buffers of one length.
#[derive(Debug)]
pub struct AlignedBufs {
    len: usize,
    /// Where the next ones come from.
    rest: Option<HugePart>,
}

impl AlignedBufs {
    /// Buffers of `len` bytes, at addresses that are multiples of the largest power of two that divides it.
    pub fn new(len: usize) -> Self {
        Self { len, rest: None }
    }

    /// One more, of zero bytes.
    pub fn make(&mut self) -> AlignedBuf {
        if self.rest.as_ref().is_none_or(|rest| rest.len() < self.len) {
            self.rest = HugePart::new(self.len).ok();
        }
        match &mut self.rest {
            Some(rest) => AlignedBuf { memory: Memory::Huge(rest.split_to(self.len)) },
            // No mapping can be had; whether the heap has some left, it says itself.
            None => AlignedBuf::new(self.len, 1 << self.len.trailing_zeros()),
        }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.memory {
            Memory::Heap(bytes) => bytes,
            Memory::Huge(part) => part.bytes(),
        }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Heap(bytes) => bytes,
            Memory::Huge(part) => part.bytes_mut(),
        }
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
