// SPDX-License-Identifier: GPL-3.0-or-later
//! A byte buffer whose address is a multiple of a power of two, as O_DIRECT demands.
//!
//! The alignment is made by allocating a little more and starting at the first aligned byte, which
//! needs no `unsafe` and no allocator tricks. The buffer never grows, so the address never moves.

use std::ops::{Deref, DerefMut};

/// A fixed-size, zero-initialized buffer aligned for direct I/O.
#[derive(Debug)]
pub struct AlignedBuf {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuf {
    /// `len` zero bytes at an address that is a multiple of `align`.
    ///
    /// # Panics
    /// When `align` is not a power of two.
    pub fn new(len: usize, align: usize) -> Self {
        assert!(align.is_power_of_two(), "alignment {align} is not a power of two");
        let memory = vec![0; len + align];
        let start = memory.as_ptr().align_offset(align);
        Self { memory, start, len }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
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
}
