// SPDX-License-Identifier: GPL-3.0-or-later
//! One contract, whatever carries the requests: everything here is done with each of them.
//!
//! A real file is read by real requests, so that something is under way; what comes of them is then changed to what a bad device would
//! have said.

use std::cell::Cell;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::rc::Rc;

use rustix::io::Errno;

use super::{Answer, Carrier, Queue, Request, Tuning, open};
use crate::blockio::read::{Parts, borrowing, deliver};
use crate::blockio::{ReadAt, ReadError, Source};
use crate::units::Extent;

const SIZE: usize = 8 << 20;
const PART: usize = 64 << 10;
const DEPTH: u32 = 32;
const ALIGN: u64 = 4096;

fn byte(at: u64) -> u8 {
    (at ^ (at >> 8) ^ (at >> 16)) as u8
}

fn extent(offset: u64, len: u64) -> Extent {
    Extent { offset, len }
}

/// What a device may do wrong.
#[derive(Clone, Default)]
struct Faults {
    /// Transfers at most this many bytes at once.
    short: Option<usize>,
    /// Every n-th request is interrupted by a signal.
    interrupt_every: Option<u32>,
    /// Touching any of these bytes is an I/O error.
    bad: Option<Extent>,
    /// Direct reads are refused, as on files of some filesystems.
    refuses_direct: bool,
    requests: Rc<Cell<u32>>,
}

impl Faults {
    fn change(&self, result: io::Result<usize>, offset: u64, asked: usize) -> io::Result<usize> {
        let read = result?;
        self.requests.set(self.requests.get() + 1);
        if self.refuses_direct {
            return Err(Errno::INVAL.into());
        }
        if self.interrupt_every.is_some_and(|n| self.requests.get().is_multiple_of(n)) {
            return Err(Errno::INTR.into());
        }
        let asked = asked.min(self.short.unwrap_or(asked));
        if self.bad.is_some_and(|bad| offset < bad.end() && bad.offset < offset + asked as u64) {
            return Err(Errno::IO.into());
        }
        Ok(read.min(asked))
    }
}

struct Device {
    source: Source,
    faults: Faults,
    size: u64,
}

impl Device {
    /// `there` bytes of a device that says it has `SIZE`.
    fn new(path: &Path, there: usize, faults: Faults) -> Self {
        std::fs::write(path, (0..there as u64).map(byte).collect::<Vec<_>>()).unwrap();
        Self { source: Source::open(path).unwrap(), faults, size: SIZE as u64 }
    }
}

impl ReadAt for Device {
    fn size(&self) -> u64 {
        self.size
    }

    fn align(&self) -> usize {
        self.source.align()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let result = self.source.read_at(buf, offset);
        // What `Source` does about a refusal is its own affair.
        let faults = Faults { refuses_direct: false, ..self.faults.clone() };
        faults.change(result, offset, buf.len())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.source.descriptor()
    }
}

/// Puts faults between a queue and its user, and counts.
struct Between<'a> {
    queue: Box<dyn Queue + 'a>,
    faults: Faults,
    asked: std::collections::VecDeque<(u64, usize)>,
    most: usize,
}

impl Queue for Between<'_> {
    fn depth(&self) -> usize {
        self.queue.depth()
    }

    fn start(&mut self, request: Request) {
        self.asked.push_back((request.offset, request.part.len()));
        self.most = self.most.max(self.asked.len());
        self.queue.start(request);
    }

    fn take(&mut self) -> io::Result<Answer> {
        let (offset, len) = self.asked.pop_front().unwrap();
        let Answer { buf, result } = self.queue.take()?;
        Ok(Answer { buf, result: self.faults.change(result, offset, len) })
    }
}

/// All that this machine has.
fn carriers() -> Vec<Carrier> {
    let file = tempfile::tempfile().unwrap();
    let ring = super::RingQueue::new(std::os::fd::AsFd::as_fd(&file), 1);
    if let Err(e) = &ring {
        let all = std::env::var("ERA_TEST_REQUIRE_ALL").is_ok_and(|all| all == "1");
        assert!(!all, "no io_uring: {e}");
        eprintln!("not tested: io_uring, which this machine does not allow: {e}");
    }
    let ring = ring.is_ok().then_some(Carrier::Ring);
    ring.into_iter().chain([Carrier::Threads, Carrier::Plain]).collect()
}

type Outcome = (Result<(), ReadError>, Vec<(u64, Vec<u8>)>);

/// Reads extents with each carrier; `room` is how many pieces whoever gets them takes before it fails.
fn read(there: usize, faults: &Faults, extents: &[Extent], room: usize) -> Vec<Outcome> {
    let dir = tempfile::tempdir().unwrap();
    let mut outcomes = Vec::new();
    for carrier in carriers() {
        let faults = Faults { requests: Rc::default(), ..faults.clone() };
        let device = Device::new(&dir.path().join("device"), there, faults.clone());
        let queue = open(device.descriptor(), Tuning { depth: DEPTH, carrier: Some(carrier) });
        let mut queue = Between { queue, faults, asked: Default::default(), most: 0 };
        let parts: Vec<_> = Parts::new(extents.iter().copied(), PART).collect();
        let mut pieces = Vec::new();
        let result = deliver(
            &device,
            &mut queue,
            parts.iter().copied(),
            borrowing(|piece| {
                if pieces.len() == room {
                    return Err(ReadError::Ended { offset: u64::MAX });
                }
                pieces.push((piece.offset, piece.bytes.to_vec()));
                Ok(())
            }),
        );
        // Each carrier but the plain one had as much under way as it may.
        let deep = if carrier == Carrier::Plain { 1 } else { DEPTH as usize };
        assert_eq!(queue.most, deep.min(parts.len()), "{carrier:?}");
        outcomes.push((result, pieces));
    }
    outcomes
}

/// The pieces are those of the extents, in order, each with what is there.
fn check(pieces: &[(u64, Vec<u8>)], extents: &[Extent]) {
    let parts = extents.iter().flat_map(|extent| {
        (extent.offset..extent.end()).step_by(PART).map(|at| (at, (extent.end() - at).min(PART as u64)))
    });
    let expected: Vec<_> = parts.take(pieces.len()).collect();
    assert_eq!(pieces.iter().map(|(at, bytes)| (*at, bytes.len() as u64)).collect::<Vec<_>>(), expected);
    for (offset, bytes) in pieces {
        assert!(bytes.iter().zip(*offset..).all(|(&b, at)| b == byte(at)), "{offset}");
    }
}

const WHOLE: Extent = Extent { offset: 0, len: SIZE as u64 };

/// Large and small, next to each other and apart, with odd ends.
fn scattered() -> Vec<Extent> {
    let mut extents: Vec<_> = (0..60).map(|i| extent(i * 130_000 + i % 3, 1 + i * 1700)).collect();
    extents.push(extent(SIZE as u64 - 3, 3));
    extents
}

#[test]
fn contents_come_in_order() {
    for extents in [vec![WHOLE], scattered(), vec![], vec![extent(5, 1)]] {
        for (result, pieces) in read(SIZE, &Faults::default(), &extents, usize::MAX) {
            result.unwrap();
            check(&pieces, &extents);
            assert_eq!(
                pieces.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>(),
                extents.iter().map(|extent| extent.len).sum::<u64>()
            );
        }
    }
}

#[test]
fn short_and_interrupted_requests_are_continued() {
    let faults = Faults { short: Some(4096), interrupt_every: Some(3), ..Faults::default() };
    for (result, pieces) in read(SIZE, &faults, &scattered(), usize::MAX) {
        result.unwrap();
        check(&pieces, &scattered());
        assert_eq!(pieces.last().unwrap().0, SIZE as u64 - 3);
    }
}

#[test]
fn a_refusal_of_direct_reads_is_not_an_error() {
    let faults = Faults { refuses_direct: true, ..Faults::default() };
    for (result, pieces) in read(SIZE, &faults, &[WHOLE], usize::MAX) {
        result.unwrap();
        check(&pieces, &[WHOLE]);
    }
}

#[test]
fn an_error_names_the_first_bad_unit_and_what_was_before_is_handed_on() {
    for bad in [0, 100_000, 5_000_000, SIZE as u64 - 1] {
        let faults = Faults { bad: Some(extent(bad, 1)), ..Faults::default() };
        for (result, pieces) in read(SIZE, &faults, &[WHOLE], usize::MAX) {
            let e = result.unwrap_err();
            assert!(
                matches!(&e, ReadError::Io { offset, cause } if *offset == bad / ALIGN * ALIGN && Errno::from_io_error(cause) == Some(Errno::IO)),
                "{e}"
            );
            check(&pieces, &[WHOLE]);
            assert_eq!(pieces.len() as u64, bad / PART as u64);
        }
    }
}

#[test]
fn a_device_that_ends_early_is_an_error_at_its_end() {
    for there in [0, 4096, 1_000_000, SIZE - 1] {
        for (result, pieces) in read(there, &Faults::default(), &[WHOLE], usize::MAX) {
            let e = result.unwrap_err();
            assert!(matches!(e, ReadError::Ended { offset } if offset == there as u64), "{there}: {e}");
            assert_eq!(pieces.len(), there / PART);
            check(&pieces, &[WHOLE]);
        }
    }
}

#[test]
fn a_sink_that_fails_ends_it_with_requests_under_way() {
    for room in [0, 1, 40] {
        for (result, pieces) in read(SIZE, &Faults::default(), &[WHOLE], room) {
            assert!(matches!(result, Err(ReadError::Ended { offset: u64::MAX })));
            assert_eq!(pieces.len(), room);
        }
    }
}
