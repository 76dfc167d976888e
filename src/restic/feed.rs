// SPDX-License-Identifier: GPL-3.0-or-later
//! A stream that is read by a thread, some way ahead of the archive.
//!
//! While a filesystem is frozen for the sender's last pass, the archive may wait: for the storage, or for a file of its own cache, if that is on the
//! frozen filesystem. So what is read goes into memory first, as far as there is [`Room`].

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use anyhow::{Context, anyhow, bail};

use super::assemble::{Assembler, Item, Sink};
use super::layout::Layout;
use super::room::Room;
use crate::stream::{self, Header, Summary};

/// What the thread says.
enum Said {
    Begin(Header),
    /// One of a pass.
    Item(u64, Item),
    Pass,
}

/// Is told of the bytes that are taken, and may wait.
pub type Pace = Box<dyn FnMut(u64) + Send>;

/// The items of a stream, pass by pass.
pub struct Feed {
    said: Receiver<Said>,
    room: Arc<Room>,
    pace: Pace,
    /// The thread has failed: what is still to come is of no use.
    failed: Arc<AtomicBool>,
    thread: Option<JoinHandle<anyhow::Result<Summary>>>,
    /// What comes next in this pass.
    next: Option<Item>,
    ended: Option<Summary>,
}

impl Feed {
    /// Begins to read a stream; returns what its header says.
    pub fn start(input: impl Read + Send + 'static, pace: Pace) -> anyhow::Result<(Self, Header)> {
        let (say, said) = channel();
        let room = Arc::new(Room::default());
        let teller = Teller { say, room: room.clone() };
        let failed = Arc::new(AtomicBool::new(false));
        let has_failed = failed.clone();
        let thread = thread::spawn(move || {
            let read = read(input, teller);
            has_failed.store(read.is_err(), Ordering::SeqCst);
            read
        });
        let mut feed = Self { said, room, pace, failed, thread: Some(thread), next: None, ended: None };
        match feed.said.recv() {
            Ok(Said::Begin(header)) => Ok((feed, header)),
            _ => Err(feed.end().err().unwrap_or_else(|| anyhow!("the stream is empty"))),
        }
    }

    /// Items that are there already.
    pub fn of_zeros(segments: Range<u64>) -> Self {
        Self {
            said: channel().1,
            room: Arc::default(),
            pace: Box::new(|_| ()),
            failed: Arc::default(),
            thread: None,
            next: Some(Item::Zeros(segments)),
            ended: None,
        }
    }

    /// The next item of this pass; nothing at its end.
    pub fn peek(&mut self) -> anyhow::Result<Option<&Item>> {
        if self.next.is_none() && self.ended.is_none() {
            match self.said.recv() {
                Ok(Said::Item(pass, item)) => {
                    self.room.taken(pass);
                    if let Item::Data { bytes, .. } = &item
                        && !self.failed.load(Ordering::SeqCst)
                    {
                        (self.pace)(bytes.len() as u64);
                    }
                    self.next = Some(item);
                }
                Ok(Said::Pass) => self.next = Some(Item::Pass),
                Ok(Said::Begin(_)) => bail!("the stream has two headers"),
                Err(_) => self.end()?,
            }
        }
        Ok(self.next.as_ref().filter(|item| **item != Item::Pass))
    }

    /// Takes the item that was peeked at.
    pub fn take(&mut self) -> Option<Item> {
        self.next.take()
    }

    /// Leaves only what comes after some segments of the zeros that were peeked at.
    pub fn take_zeros(&mut self, end: u64) {
        if let Some(Item::Zeros(zeros)) = &mut self.next {
            zeros.start = end;
            if zeros.is_empty() {
                self.next = None;
            }
        }
    }

    /// Whether another pass follows the one that has ended; goes on to it.
    pub fn another_pass(&mut self) -> bool {
        self.next.take_if(|item| *item == Item::Pass).is_some()
    }

    /// What the stream says at its end, which was reached.
    pub fn summary(&self) -> anyhow::Result<&Summary> {
        self.ended.as_ref().context("the stream was not read to its end")
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.ended =
            Some(thread.join().map_err(|_| anyhow!("the thread that reads the stream has panicked"))??);
        Ok(())
    }
}

fn read(input: impl Read, teller: Teller) -> anyhow::Result<Summary> {
    let mut assembler = Assembler::new(teller);
    let summary = stream::read(input, &mut assembler)?;
    assembler.finish()?;
    Ok(summary)
}

impl Drop for Feed {
    fn drop(&mut self) {
        // The thread learns that nobody wants more.
        self.said = channel().1;
        self.room.shut();
    }
}

/// Hands on what the assembler makes.
struct Teller {
    say: Sender<Said>,
    room: Arc<Room>,
}

impl Teller {
    fn say(&self, what: Said) -> anyhow::Result<()> {
        self.say.send(what).map_err(|_| anyhow!("the archive has ended before the stream did"))
    }
}

impl Sink for Teller {
    fn begin(&mut self, header: &Header) -> anyhow::Result<Layout> {
        self.say(Said::Begin(header.clone()))?;
        Layout::new(header.device_bytes)
    }

    fn item(&mut self, item: Item) -> anyhow::Result<()> {
        if item == Item::Pass {
            self.room.begin_pass();
            return self.say(Said::Pass);
        }
        let pass = self.room.reserve();
        self.say(Said::Item(pass, item))
    }
}
