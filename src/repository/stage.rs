// SPDX-License-Identifier: GPL-3.0-or-later
//! A batch goes to the disk in a thread of its own, while the next one arrives.
//!
//! Only one is under way at a time, so that two batches are all that is in memory. The thread always ends before whoever gives
//! it batches goes on to something else, or gives up: nothing is written without the repository's lock.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::anyhow;

use super::store::{Batch, Store};

enum Job {
    Take(Batch),
    /// Says when all that came before is done.
    Tell(SyncSender<()>),
}

/// The way to the thread.
pub struct Stage {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<(Store, anyhow::Result<()>)>>,
}

impl Stage {
    /// Starts it.
    pub fn start(store: Store) -> Self {
        let (jobs, queue) = sync_channel(0);
        Self { jobs: Some(jobs), thread: Some(thread::spawn(move || work(store, &queue))) }
    }

    /// Hands on a batch, when the one before is done.
    pub fn give(&mut self, batch: Batch) -> anyhow::Result<()> {
        self.send(Job::Take(batch))
    }

    /// Returns when all batches are done.
    pub fn settle(&mut self) -> anyhow::Result<()> {
        let (tell, told) = sync_channel(1);
        self.send(Job::Tell(tell))?;
        // A thread that ended instead will say why when it is given the next job.
        let _ = told.recv();
        Ok(())
    }

    fn send(&mut self, job: Job) -> anyhow::Result<()> {
        match self.jobs.as_ref().map(|jobs| jobs.send(job)) {
            Some(Ok(())) => Ok(()),
            // It ends early where it has failed.
            Some(Err(_)) | None => Err(self.end().err().unwrap_or_else(already)),
        }
    }

    /// Ends the thread, when it is done, and gives back what it worked on.
    pub fn end(&mut self) -> anyhow::Result<Store> {
        drop(self.jobs.take());
        let (store, result) = self
            .thread
            .take()
            .ok_or_else(already)?
            .join()
            .map_err(|_| anyhow!("the thread that writes has panicked"))?;
        result.map(|()| store)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // What went wrong was told before, or is of no interest: what was begun is undone.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn already() -> anyhow::Error {
    anyhow!("taking the stream has failed before")
}

fn work(mut store: Store, jobs: &Receiver<Job>) -> (Store, anyhow::Result<()>) {
    let mut result = Ok(());
    for job in jobs {
        match job {
            Job::Take(batch) => result = store.take(batch),
            Job::Tell(tell) => drop(tell.send(())),
        }
        if result.is_err() {
            break;
        }
    }
    (store, result)
}
