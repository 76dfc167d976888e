// SPDX-License-Identifier: GPL-3.0-or-later
//! A queue on io_uring. Requests end in any order; those that end early wait here for their turn.

use std::io;
use std::os::fd::BorrowedFd;

use super::{Answer, Queue, Request};
use crate::sys::Ring;

pub(super) struct RingQueue<'fd> {
    ring: Ring<'fd>,
    /// By slot; a request's slot is its number, in a circle.
    ended: Vec<Option<Answer>>,
    started: usize,
    taken: usize,
}

impl<'fd> RingQueue<'fd> {
    pub(super) fn new(fd: BorrowedFd<'fd>, depth: u32) -> io::Result<Self> {
        let ended = (0..depth).map(|_| None).collect();
        Ok(Self { ring: Ring::new(fd, depth)?, ended, started: 0, taken: 0 })
    }
}

impl Queue for RingQueue<'_> {
    fn depth(&self) -> usize {
        self.ended.len()
    }

    fn start(&mut self, request: Request) {
        let Request { direction, buf, part, offset } = request;
        self.ring.start(self.started % self.ended.len(), direction, buf, part, offset);
        self.started += 1;
    }

    fn take(&mut self) -> io::Result<Answer> {
        let slot = self.taken % self.ended.len();
        assert!(self.taken < self.started, "a request for each answer");
        loop {
            if let Some(answer) = self.ended[slot].take() {
                self.taken += 1;
                return Ok(answer);
            }
            let done = self.ring.wait()?;
            self.ended[done.slot] = Some(Answer { buf: done.buf, result: done.result });
        }
    }
}
