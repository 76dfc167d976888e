// SPDX-License-Identifier: GPL-3.0-or-later
//! The engine: many requests to one device or file under way at a time.
//!
//! A disk answers 32 requests in little more time than one, so a program that waits for each before it asks for the next gets a fraction of
//! what the disk can do. The engine keeps a queue of requests full and gives the answers back **in the order of the requests**,
//! so that whoever reads need not know that there is a queue. What carries the requests is chosen at run time:
//!
//! 1. io_uring, where the kernel has it and lets us;
//! 2. a few threads that wait, each for one request, where it does not: an old kernel, a container, a sysctl;
//! 3. nothing, where there is no descriptor to read from, or not more than one request.
//!
//! An answer says what the system said, no more: short, interrupted or failed. Who gets it does the request again by itself,
//! one small step after another, and so meets the same error where there is one. That part is the same whatever carries
//! the requests, and so are the errors. It is also why nothing is lost by asking for much too early.
//!
//! Buffers belong to a queue while a request is under way. When a queue ends, whatever the reason, it waits for all of them.

mod pool;
mod ring;
#[cfg(test)]
mod tests;
mod tuning;

use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;

use pool::Pool;
use ring::RingQueue;
pub use tuning::{Carrier, MAX_DEPTH, Tuning};

use crate::sys::{AlignedBuf, Direction};

/// A transfer between a part of a buffer and an offset.
pub(super) struct Request {
    pub(super) direction: Direction,
    pub(super) buf: AlignedBuf,
    pub(super) part: Range<usize>,
    pub(super) offset: u64,
}

/// What became of the oldest request.
pub(super) struct Answer {
    pub(super) buf: AlignedBuf,
    /// How many bytes were transferred, as `pread` and `pwrite` say it.
    pub(super) result: io::Result<usize>,
}

/// Requests under way, at most as many as it was made for.
pub(super) trait Queue {
    /// How many requests can be under way.
    fn depth(&self) -> usize;

    /// Begins a request.
    fn start(&mut self, request: Request);

    /// Waits for the oldest request. An error says that the queue itself has failed, and what is in it is lost.
    fn take(&mut self) -> io::Result<Answer>;
}

/// A queue on a descriptor, of what this machine has.
pub(super) fn open<'fd>(fd: Option<BorrowedFd<'fd>>, tuning: Tuning) -> Box<dyn Queue + 'fd> {
    let Some(fd) = fd else { return Box::new(NoQueue::default()) };
    match tuning.carrier {
        None | Some(Carrier::Ring) => match RingQueue::new(fd, tuning.depth) {
            Ok(queue) => Box::new(queue),
            Err(_) => pool(fd, tuning),
        },
        Some(Carrier::Threads) => pool(fd, tuning),
        Some(Carrier::Plain) => Box::new(NoQueue::default()),
    }
}

fn pool<'fd>(fd: BorrowedFd<'fd>, tuning: Tuning) -> Box<dyn Queue + 'fd> {
    match Pool::new(fd, tuning.depth) {
        Ok(pool) => Box::new(pool),
        // No descriptor is left: it goes slowly, too.
        Err(_) => Box::new(NoQueue::default()),
    }
}

/// Leaves every request to whoever made it.
#[derive(Default)]
struct NoQueue(Option<Request>);

impl Queue for NoQueue {
    fn depth(&self) -> usize {
        1
    }

    fn start(&mut self, request: Request) {
        self.0 = Some(request);
    }

    fn take(&mut self) -> io::Result<Answer> {
        let request = self.0.take().expect("a request for each answer");
        Ok(Answer { buf: request.buf, result: Ok(0) })
    }
}
