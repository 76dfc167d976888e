// SPDX-License-Identifier: GPL-3.0-or-later
//! Threads that do jobs side by side, and hand back what came of them in the order in which the jobs came.
//!
//! Who hands over jobs also takes the results, and so bounds how many there are: nothing here waits by itself. Without
//! threads, because they cannot be had or are not worth it, a job is done at once by the caller; what comes of it is the same.
//! Threads end when this is dropped or told to rest, after what they have begun.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

type Work<J, R> = Box<dyn FnMut(J) -> R + Send>;
type Jobs<J, R> = (J, SyncSender<R>);

/// Jobs under way, and the threads that do them.
pub struct Workers<J, R> {
    /// Makes what does the work, for each thread its own.
    make: Box<dyn Fn() -> Work<J, R> + Send>,
    /// The caller's own.
    here: Option<Work<J, R>>,
    most: usize,
    threads: Option<Threads<J, R>>,
    results: VecDeque<Outcome<R>>,
}

struct Threads<J, R> {
    jobs: Sender<Jobs<J, R>>,
    handles: Vec<JoinHandle<()>>,
}

enum Outcome<R> {
    Done(R),
    Expected(Receiver<R>),
}

impl<J: Send + 'static, R: Send + 'static> Workers<J, R> {
    /// At most so many threads, which are started with the first job that is handed to them.
    pub fn new(most: usize, make: impl Fn() -> Work<J, R> + Send + 'static) -> Self {
        Self { make: Box::new(make), here: None, most, threads: None, results: VecDeque::new() }
    }

    /// Threads that suit this machine: one for each processor, and few enough to bound the memory of their jobs.
    pub fn suitable() -> usize {
        thread::available_parallelism().map_or(1, |n| n.get().min(6))
    }

    /// How many results there are to take, now or later.
    pub fn pending(&self) -> usize {
        self.results.len()
    }

    /// How many should be pending for all threads to have something to do while results are taken.
    pub fn window(&self) -> usize {
        2 * self.most
    }

    /// Hands a job to the threads.
    pub fn push(&mut self, job: J) {
        if self.threads.is_none() && self.most > 0 {
            self.threads = Threads::start(self.most, &*self.make);
            if self.threads.is_none() {
                self.most = 0;
            }
        }
        let Some(threads) = &self.threads else { return self.push_here(job) };
        let (sender, receiver) = sync_channel(1);
        threads.jobs.send((job, sender)).expect("threads wait for jobs as long as there can be any");
        self.results.push_back(Outcome::Expected(receiver));
    }

    /// Does a job at once, in the caller's thread; its result keeps its place in the order.
    pub fn push_here(&mut self, job: J) {
        let work = self.here.get_or_insert_with(&*self.make);
        self.results.push_back(Outcome::Done(work(job)));
    }

    /// Whether the oldest job is done.
    pub fn is_ready(&mut self) -> bool {
        let Some(oldest) = self.results.front_mut() else { return false };
        if let Outcome::Expected(receiver) = oldest {
            match receiver.try_recv() {
                Ok(result) => *oldest = Outcome::Done(result),
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => panic!("a thread died at its work"),
            }
        }
        true
    }

    /// What came of the oldest job; waits for it.
    pub fn take(&mut self) -> Option<R> {
        match self.results.pop_front()? {
            Outcome::Done(result) => Some(result),
            Outcome::Expected(receiver) => Some(receiver.recv().expect("a thread died at its work")),
        }
    }

    /// Ends the threads; results that are pending can still be taken, and more jobs be handed over.
    pub fn rest(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.join();
        }
    }
}

impl<J, R> Drop for Workers<J, R> {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.join();
        }
    }
}

impl<J: Send + 'static, R: Send + 'static> Threads<J, R> {
    /// `None` where the system gives no thread at all.
    fn start(most: usize, make: &dyn Fn() -> Work<J, R>) -> Option<Self> {
        let (jobs, receiver) = channel::<Jobs<J, R>>();
        let receiver = Arc::new(Mutex::new(receiver));
        let mut handles = Vec::new();
        for _ in 0..most {
            let (receiver, mut work) = (receiver.clone(), make());
            let run = move || {
                loop {
                    let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((job, result)) = next else { break };
                    // Nobody waits for it when the caller has given up.
                    let _ = result.send(work(job));
                }
            };
            match thread::Builder::new().name("era worker".into()).spawn(run) {
                Ok(handle) => handles.push(handle),
                Err(_) => break,
            }
        }
        (!handles.is_empty()).then_some(Self { jobs, handles })
    }
}

impl<J, R> Threads<J, R> {
    fn join(self) {
        drop(self.jobs);
        for handle in self.handles {
            // A panic has been printed, and shows where its result is missing.
            let _ = handle.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        for most in [0, 1, 3] {
            let mut workers = Workers::new(most, || Box::new(|n: u64| n * n));
            let mut results = Vec::new();
            for n in 0..100 {
                if n % 7 == 0 {
                    workers.push_here(n)
                } else {
                    workers.push(n)
                }
                if workers.pending() > workers.window() {
                    results.extend(workers.take());
                }
                if n == 50 {
                    workers.rest();
                }
            }
            while let Some(result) = workers.take() {
                results.push(result);
            }
            assert_eq!(results, (0..100).map(|n| n * n).collect::<Vec<_>>(), "{most}");
        }
    }

    #[test]
    fn the_first_result_is_first_though_the_second_is_there_before() {
        let both = Arc::new(Barrier::new(2));
        let mut workers = Workers::new(2, {
            let both = both.clone();
            move || {
                let both = both.clone();
                Box::new(move |waits: bool| {
                    if waits {
                        both.wait();
                    }
                    waits
                })
            }
        });
        workers.push(true);
        workers.push(false);
        // Whether or not the second is done, the first is not.
        assert!(!workers.is_ready());
        both.wait();
        assert_eq!((workers.take(), workers.take(), workers.take()), (Some(true), Some(false), None));
    }

    #[test]
    fn dropping_it_waits_for_what_was_begun() {
        let alive = Arc::new(());
        let mut workers = Workers::new(2, || Box::new(|job: Arc<()>| drop(job)));
        for _ in 0..20 {
            workers.push(alive.clone());
        }
        drop(workers);
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
