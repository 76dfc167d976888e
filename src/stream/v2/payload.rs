// SPDX-License-Identifier: GPL-3.0-or-later
//! What a record is made of: bytes that were gathered in one place, and between them parts of buffers that were not copied.

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use crate::blockio::Filled;

/// Bytes, of which the first may be room for something that is not known yet.
#[derive(Debug)]
pub(super) struct Payload {
    pub(super) gathered: Vec<u8>,
    /// Where in what was gathered it begins.
    pub(super) start: usize,
    kept: Vec<Kept>,
    kept_bytes: usize,
}

/// A part of a buffer.
#[derive(Debug)]
struct Kept {
    /// How much of what was gathered stands before it.
    after: usize,
    buffer: Arc<Filled>,
    part: Range<usize>,
}

/// Bytes that follow each other in memory.
pub(super) enum Slice<'a> {
    Gathered(&'a [u8]),
    Kept(&'a Filled, Range<usize>),
}

impl Slice<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Slice::Gathered(bytes) => bytes,
            Slice::Kept(buffer, part) => &buffer[part.clone()],
        }
    }
}

impl Payload {
    /// So many bytes of room, which hold anything until they are written.
    pub(super) fn with_room(mut spare: Vec<u8>, room: usize) -> Self {
        spare.resize(room, 0);
        Self { gathered: spare, start: room, kept: Vec::new(), kept_bytes: 0 }
    }

    /// From its start to its end.
    pub(super) fn len(&self) -> usize {
        self.gathered.len() - self.start + self.kept_bytes
    }

    /// Whether nothing is kept, so that all of it is in one place.
    pub(super) fn is_gathered(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn gather(&mut self, bytes: &[u8]) {
        self.gathered.extend_from_slice(bytes);
    }

    /// Keeps a part of a buffer in place of a copy.
    pub(super) fn keep(&mut self, buffer: &Arc<Filled>, part: Range<usize>) {
        self.kept_bytes += part.len();
        let after = self.gathered.len();
        match self.kept.last_mut() {
            Some(last)
                if last.after == after
                    && last.part.end == part.start
                    && Arc::ptr_eq(&last.buffer, buffer) =>
            {
                last.part.end = part.end;
            }
            _ => self.kept.push(Kept { after, buffer: buffer.clone(), part }),
        }
    }

    /// All of it, in order.
    pub(super) fn slices(&self) -> impl Iterator<Item = Slice<'_>> {
        let mut at = self.start;
        let before = self.kept.iter().flat_map(move |kept| {
            let gathered = &self.gathered[mem::replace(&mut at, kept.after)..kept.after];
            [Slice::Gathered(gathered), Slice::Kept(&kept.buffer, kept.part.clone())]
        });
        let rest = self.kept.last().map_or(self.start, |last| last.after);
        before.chain([Slice::Gathered(&self.gathered[rest..])]).filter(|slice| !slice.bytes().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blockio::faulty::{Faulty, pattern};
    use crate::blockio::{ReadError, read_to_keep};
    use crate::units::Extent;

    #[test]
    fn what_is_kept_stands_where_it_was_put() {
        let mut buffers = Vec::new();
        read_to_keep(&Faulty::new(1 << 20, 4096), [Extent { offset: 0, len: 8192 }], |piece| {
            buffers.push(Arc::new(piece.bytes));
            Ok::<_, ReadError>(())
        })
        .unwrap();
        let mut payload = Payload::with_room(vec![0; 5], 3);
        assert_eq!((payload.len(), payload.slices().count()), (0, 0));
        payload.keep(&buffers[0], 0..10);
        payload.keep(&buffers[0], 10..20);
        payload.gather(&[1, 2]);
        payload.gather(&[3]);
        payload.keep(&buffers[0], 20..30);
        payload.keep(&buffers[0], 40..50);
        assert!(!payload.is_gathered());
        let slices: Vec<_> = payload.slices().map(|slice| slice.bytes().to_vec()).collect();
        let patterned = |range: Range<u64>| range.map(pattern).collect::<Vec<_>>();
        assert_eq!(slices, [patterned(0..20), vec![1, 2, 3], patterned(20..30), patterned(40..50)]);
        assert_eq!(payload.len(), slices.concat().len());
        payload.start = 1;
        assert_eq!(payload.slices().next().unwrap().bytes(), [0, 0]);
        assert_eq!(payload.len(), slices.concat().len() + 2);
    }
}
