// SPDX-License-Identifier: GPL-3.0-or-later
//! A queue of threads, each of which waits for one request.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::{Answer, Queue, Request};
use crate::sys::Direction;
use crate::workers::Workers;

/// As many requests as this get most of what a deep queue gives.
const MOST_THREADS: usize = 16;

pub(super) struct Pool {
    workers: Workers<Request, Answer>,
    depth: usize,
}

impl Pool {
    pub(super) fn new(fd: BorrowedFd, depth: u32) -> io::Result<Self> {
        let file = Arc::new(File::from(fd.try_clone_to_owned()?));
        let depth = usize::try_from(depth).unwrap_or(MOST_THREADS);
        let workers = Workers::new(depth.min(MOST_THREADS), move || {
            let file = file.clone();
            Box::new(move |request| transfer(&file, request))
        });
        Ok(Self { workers, depth })
    }
}

fn transfer(file: &File, request: Request) -> Answer {
    let Request { direction, mut buf, part, offset } = request;
    let result = match direction {
        Direction::Read => file.read_at(&mut buf[part], offset),
        Direction::Write => file.write_at(&buf[part], offset),
    };
    Answer { buf, result }
}

impl Queue for Pool {
    fn depth(&self) -> usize {
        self.depth
    }

    fn start(&mut self, request: Request) {
        self.workers.push(request);
    }

    fn take(&mut self) -> io::Result<Answer> {
        Ok(self.workers.take().expect("a request for each answer"))
    }
}
