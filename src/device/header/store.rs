// SPDX-License-Identifier: GPL-3.0-or-later
//! Both copies together: which one counts, in which order they are written and destroyed.
//!
//! The reader and the writer are apart, as what is read back should come from the device and not from the page cache
//! that it was written through.

use std::io;

use jiff::Timestamp;

use super::error::{HeaderError, Newer, Note, SlotProblem};
use super::slot::{self, Copy, OFFSETS, SLOT_BYTES, VERSION};
use super::{Header, payload};
use crate::blockio::{ReadAt, WriteAt};
use crate::units::Extent;

/// A header that was read.
#[derive(Debug)]
pub struct Found {
    /// The header in force.
    pub header: Header,
    /// The other copy is damaged or outdated; writing the header mends it.
    pub note: Option<Note>,
}

/// The copy that counts.
struct Newest {
    slot: usize,
    copy: Copy,
    /// What is wrong with the other one, if anything.
    other: Option<SlotProblem>,
}

/// Reads the header of a metadata device.
pub fn read(source: &dyn ReadAt) -> Result<Found, HeaderError> {
    let Newest { slot, copy, other } = newest(source)?;
    if copy.version != VERSION {
        return Err(HeaderError::NewerFormat(Newer::Version(copy.version)));
    }
    let header = payload::decode(&copy.payload, copy.sequence, source.size())?;
    Ok(Found { header, note: other.map(|problem| Note { slot: 1 - slot, problem }) })
}

/// Writes the header to both copies, one after the other.
///
/// A new header goes only to where none is, a changed one only over the one that it was read from. An error
/// means that the old header is in force, a note that the new one is, but only in one copy.
///
/// The copy that does not count is written first. After a crash it is either torn, and the other one is the old
/// header, or it is newer, and is the new header.
pub fn write(
    header: &mut Header,
    source: &dyn ReadAt,
    target: &dyn WriteAt,
) -> Result<Option<Note>, HeaderError> {
    let ours = header.sequence;
    let current = match newest(source) {
        Ok(newest) => Some(newest),
        Err(HeaderError::NotThere) => None,
        // A new header may replace the remains of another, but not one that could not be read.
        Err(HeaderError::Damaged(problems)) if ours == 0 && problems.iter().all(is_readable) => None,
        Err(e) => return Err(e),
    };
    let found = current.as_ref().map(|newest| newest.copy.sequence);
    if found.unwrap_or(0) != ours {
        return Err(HeaderError::Changed { ours, found });
    }
    let sequence = following(ours);
    let changed = Timestamp::now();
    let next = Header { sequence, changed, ..header.clone() };
    let payload = payload::encode(&next, source.size())?;
    let copy = Copy { version: VERSION, sequence, payload };
    let order = match current {
        Some(Newest { slot: 1, .. }) => [0, 1],
        _ => [1, 0],
    };
    let copies = [slot::pack(0, &copy)?, slot::pack(1, &copy)?];
    let [first, second] = order;
    slot::write(source, target, first, &copies[first])
        .map_err(|cause| HeaderError::NotWritten { slot: first, cause })?;
    *header = next;
    let result = slot::write(source, target, second, &copies[second]);
    Ok(result.err().map(|cause| Note { slot: second, problem: SlotProblem::NotWritten(cause) }))
}

/// Destroys both copies.
///
/// The one that does not count goes first, and durably: were it the other way round, a crash in between could leave
/// an outdated header in force. As it is, the header is there unchanged until it is gone.
pub fn wipe(source: &dyn ReadAt, target: &dyn WriteAt) -> io::Result<()> {
    let last = newest(source).map_or(0, |newest| newest.slot);
    for slot in [1 - last, last] {
        let extent = Extent { offset: OFFSETS[slot], len: SLOT_BYTES as u64 };
        if extent.end() <= target.size() {
            target.zero(extent)?;
            target.sync()?;
        }
    }
    Ok(())
}

/// Finds the copy that counts: the one that is undamaged, and of two the newer one.
fn newest(source: &dyn ReadAt) -> Result<Newest, HeaderError> {
    match [slot::read(source, 0), slot::read(source, 1)] {
        [Ok(zero), Ok(one)] if zero == one => Ok(Newest { slot: 0, copy: zero, other: None }),
        [Ok(zero), Ok(one)] => {
            let outdated = |found: &Copy, newest: &Copy| {
                Some(SlotProblem::Outdated { found: found.sequence, newest: newest.sequence })
            };
            if is_newer(one.sequence, zero.sequence) {
                Ok(Newest { slot: 1, other: outdated(&zero, &one), copy: one })
            } else if is_newer(zero.sequence, one.sequence) {
                Ok(Newest { slot: 0, other: outdated(&one, &zero), copy: zero })
            } else {
                Err(HeaderError::Damaged([zero, one].map(|c| SlotProblem::Contradiction(c.sequence))))
            }
        }
        [Ok(copy), Err(problem)] => Ok(Newest { slot: 0, copy, other: Some(problem) }),
        [Err(problem), Ok(copy)] => Ok(Newest { slot: 1, copy, other: Some(problem) }),
        [
            Err(SlotProblem::NoMagic | SlotProblem::PastTheEnd(_)),
            Err(SlotProblem::NoMagic | SlotProblem::PastTheEnd(_)),
        ] => Err(HeaderError::NotThere),
        [Err(zero), Err(one)] => Err(HeaderError::Damaged([zero, one])),
    }
}

/// Whether a sequence number comes after another one. They may wrap around: the copies are never far apart.
fn is_newer(a: u64, b: u64) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

/// The next sequence number; 0 is that of headers that were never written.
fn following(sequence: u64) -> u64 {
    sequence.wrapping_add(1).max(1)
}

fn is_readable(problem: &SlotProblem) -> bool {
    !matches!(problem, SlotProblem::Unreadable(_) | SlotProblem::PastTheEnd(_))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
