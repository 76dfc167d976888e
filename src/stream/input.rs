// SPDX-License-Identifier: GPL-3.0-or-later
//! A reader that knows its position and tells a clean end from a cut one. Small parts are read together; large ones go where they
//! belong at once.

use std::io::{self, BufReader, Read};

use super::error::{Fault, StreamError};

/// Many heads of small records.
const BUFFER_BYTES: usize = 64 << 10;

pub(super) struct Input<R> {
    inner: BufReader<R>,
    position: u64,
}

impl<R: Read> Input<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner: BufReader::with_capacity(BUFFER_BYTES, inner), position: 0 }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Reads until the buffer is full or the input ends; returns how many bytes there were.
    pub(super) fn fill(&mut self, buf: &mut [u8]) -> Result<usize, StreamError> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.inner.read(&mut buf[filled..]) {
                Ok(0) => break,
                Ok(read) => {
                    filled += read;
                    self.position += read as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Fault::from(e).at(self.position)),
            }
        }
        Ok(filled)
    }

    /// Fills the buffer; an end before that is an error that names `what` was cut.
    pub(super) fn exact(&mut self, buf: &mut [u8], what: &'static str) -> Result<(), StreamError> {
        match self.fill(buf)? {
            n if n == buf.len() => Ok(()),
            _ => Err(Fault::Truncated(what).at(self.position)),
        }
    }
}
