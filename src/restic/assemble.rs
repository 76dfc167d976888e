// SPDX-License-Identifier: GPL-3.0-or-later
//! From the contents of a stream to whole segments.
//!
//! The sender was asked for whole segments. One that is not is an error: with what is missing the segment would be wrong. A stream
//! has passes, each in ascending order; where an offset goes back, the next one has begun.

use std::collections::BTreeSet;
use std::ops::Range;

use anyhow::{Context, bail};

use super::layout::Layout;
use crate::stream::{Header, Visitor, is_zero};
use crate::units::Extent;

/// What a stream holds, in its order.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// A segment that does not hold zeros alone.
    Data {
        /// Its number.
        segment: u64,
        /// What it holds.
        bytes: Vec<u8>,
    },
    /// Segments that hold zeros.
    Zeros(Range<u64>),
    /// Another pass begins: segments that were there may come again.
    Pass,
}

/// What may be done with items: keep them, hand them on. An error ends the reading of the stream.
pub trait Sink {
    /// Takes the header, before anything else.
    fn begin(&mut self, header: &Header) -> anyhow::Result<Layout>;

    /// Takes an item.
    fn item(&mut self, item: Item) -> anyhow::Result<()>;
}

/// Puts segments together.
pub struct Assembler<S> {
    sink: S,
    layout: Option<Layout>,
    /// Where the last piece ended.
    at: u64,
    /// Whether this pass had a piece.
    begun: bool,
    /// The segment that is being put together: what came of it so far.
    partial: Vec<u8>,
    /// Segments of zeros that may go on.
    zeros: Range<u64>,
    /// Segments that were begun when another pass began: a later pass must have them.
    owed: BTreeSet<u64>,
}

impl<S: Sink> Assembler<S> {
    /// One that hands items on.
    pub fn new(sink: S) -> Self {
        Self {
            sink,
            layout: None,
            at: 0,
            begun: false,
            partial: Vec::new(),
            zeros: 0..0,
            owed: BTreeSet::new(),
        }
    }

    /// The stream has ended, well.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        self.gap()?;
        if let Some(segment) = self.owed.first() {
            bail!("the stream begins segment {segment}, and never has all of it");
        }
        self.flush_zeros()
    }

    /// Nothing more follows where the last piece ended.
    fn gap(&mut self) -> anyhow::Result<()> {
        if !self.partial.is_empty() {
            bail!(
                "the stream has a part of a segment only, up to byte {} of the device: era send must be given --whole",
                self.at
            );
        }
        Ok(())
    }

    fn flush_zeros(&mut self) -> anyhow::Result<()> {
        let zeros = std::mem::take(&mut self.zeros);
        if zeros.is_empty() { Ok(()) } else { self.sink.item(Item::Zeros(zeros)) }
    }

    fn layout(&self) -> anyhow::Result<Layout> {
        self.layout.context("the stream has no header")
    }

    /// A piece begins: where it does not go on, everything before it must be whole.
    fn seek(&mut self, offset: u64) -> anyhow::Result<()> {
        if offset == self.at && self.begun {
            return Ok(());
        }
        self.give_up_partial(offset);
        self.gap()?;
        if self.begun && offset < self.at {
            self.flush_zeros()?;
            self.sink.item(Item::Pass)?;
        }
        self.at = offset;
        self.begun = true;
        Ok(())
    }

    /// A sender that loses its snapshot breaks off where it is, and begins another pass.
    fn give_up_partial(&mut self, offset: u64) {
        let begin = self.at - self.partial.len() as u64;
        if !self.partial.is_empty() && offset <= begin {
            self.owed.insert(begin / super::layout::SEGMENT_BYTES);
            self.partial.clear();
        }
    }

    /// The segment that the next byte belongs to, and how many bytes it lacks.
    fn current(&self) -> anyhow::Result<(u64, u64)> {
        let layout = self.layout()?;
        let segment = self.at / super::layout::SEGMENT_BYTES;
        if segment >= layout.segments() {
            bail!("the stream goes on past the end of the device, at byte {}", self.at);
        }
        let extent = layout.extent(segment);
        if self.at != extent.offset + self.partial.len() as u64 {
            bail!(
                "the stream has a part of a segment only, from byte {} of the device on: era send must be given --whole",
                self.at
            );
        }
        Ok((segment, extent.end() - self.at))
    }

    /// A segment is whole.
    fn complete(&mut self, segment: u64, bytes: Vec<u8>) -> anyhow::Result<()> {
        if is_zero(&bytes) {
            return self.add_zeros(segment..segment + 1);
        }
        self.flush_zeros()?;
        self.owed.remove(&segment);
        self.sink.item(Item::Data { segment, bytes })
    }

    fn add_zeros(&mut self, segments: Range<u64>) -> anyhow::Result<()> {
        self.owed.retain(|segment| !segments.contains(segment));
        if self.zeros.end == segments.start && !self.zeros.is_empty() {
            self.zeros.end = segments.end;
            return Ok(());
        }
        self.flush_zeros()?;
        self.zeros = segments;
        Ok(())
    }

    /// Bytes, or zeros where none are given, go on where the last piece ended.
    fn push(&mut self, mut len: u64, mut bytes: Option<&[u8]>) -> anyhow::Result<()> {
        while len > 0 {
            let (segment, lacking) = self.current()?;
            if bytes.is_none() && self.partial.is_empty() && len >= lacking {
                let layout = self.layout()?;
                let end = self.at + len;
                let whole = if end == layout.device_bytes() {
                    layout.segments()
                } else {
                    end / super::layout::SEGMENT_BYTES
                };
                let last = layout.extent(whole - 1);
                self.add_zeros(segment..whole)?;
                len -= last.end() - self.at;
                self.at = last.end();
                continue;
            }
            let part = lacking.min(len);
            let count = usize::try_from(part)?;
            match &mut bytes {
                Some(bytes) => {
                    let (now, rest) = bytes.split_at(count);
                    self.partial.extend_from_slice(now);
                    *bytes = rest;
                }
                None => self.partial.resize(self.partial.len() + count, 0),
            }
            self.at += part;
            len -= part;
            if part == lacking {
                let bytes = std::mem::take(&mut self.partial);
                self.complete(segment, bytes)?;
            }
        }
        Ok(())
    }
}

impl<S: Sink> Visitor for Assembler<S> {
    fn begin(&mut self, header: Option<&Header>) -> anyhow::Result<()> {
        let header = header.context(
            "is no stream of era send: one of version 1, or nothing at all, says not what it is of",
        )?;
        self.layout = Some(self.sink.begin(header)?);
        Ok(())
    }

    fn data(&mut self, offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
        self.seek(offset)?;
        self.push(bytes.len() as u64, Some(bytes))
    }

    fn zeros(&mut self, extent: Extent) -> anyhow::Result<()> {
        self.seek(extent.offset)?;
        self.push(extent.len, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restic::layout::SEGMENT_BYTES;

    const MIB: u64 = SEGMENT_BYTES;

    struct List(Vec<Item>);

    impl Sink for List {
        fn begin(&mut self, header: &Header) -> anyhow::Result<Layout> {
            Layout::new(header.device_bytes)
        }

        fn item(&mut self, item: Item) -> anyhow::Result<()> {
            self.0.push(item);
            Ok(())
        }
    }

    /// Pieces: where, how long, and the byte that they are of.
    fn items(device_bytes: u64, pieces: &[(u64, u64, u8)]) -> anyhow::Result<Vec<Item>> {
        let mut assembler = Assembler::new(List(Vec::new()));
        assembler.layout = Some(Layout::new(device_bytes)?);
        for &(offset, len, byte) in pieces {
            match byte {
                0 => assembler.zeros(Extent { offset, len })?,
                _ => assembler.data(offset, &vec![byte; len as usize])?,
            }
        }
        assembler.finish()?;
        Ok(assembler.sink.0)
    }

    fn data(segment: u64, parts: &[(u64, u8)]) -> Item {
        let bytes = parts.iter().flat_map(|&(len, byte)| vec![byte; len as usize]).collect();
        Item::Data { segment, bytes }
    }

    #[test]
    fn pieces_become_segments() {
        let got = items(10 * MIB, &[(MIB, MIB / 2, 1), (MIB + MIB / 2, MIB / 2 + MIB, 2), (5 * MIB, MIB, 3)])
            .unwrap();
        assert_eq!(got, [data(1, &[(MIB / 2, 1), (MIB / 2, 2)]), data(2, &[(MIB, 2)]), data(5, &[(MIB, 3)])]);
    }

    #[test]
    fn zeros_are_told_together_and_data_of_zeros_are_zeros() {
        assert_eq!(items(1 << 44, &[(0, 1 << 44, 0)]).unwrap(), [Item::Zeros(0..1 << 24)]);
        let got =
            items(9 * MIB + 5, &[(0, 3 * MIB + 7, 0), (3 * MIB + 7, MIB - 7, 1), (4 * MIB, 5 * MIB + 5, 0)]);
        assert_eq!(got.unwrap(), [Item::Zeros(0..3), data(3, &[(7, 0), (MIB - 7, 1)]), Item::Zeros(4..10)]);
        let mut assembler = Assembler::new(List(Vec::new()));
        assembler.layout = Some(Layout::new(4 * MIB).unwrap());
        assembler.data(0, &vec![0; 2 * MIB as usize]).unwrap();
        assembler.zeros(Extent { offset: 2 * MIB, len: MIB }).unwrap();
        assembler.finish().unwrap();
        assert_eq!(assembler.sink.0, [Item::Zeros(0..3)]);
    }

    #[test]
    fn an_offset_that_goes_back_begins_a_pass() {
        let got = items(4 * MIB, &[(0, MIB, 0), (3 * MIB, MIB, 1), (0, MIB, 2), (0, MIB, 3)]).unwrap();
        let expected = [
            Item::Zeros(0..1),
            data(3, &[(MIB, 1)]),
            Item::Pass,
            data(0, &[(MIB, 2)]),
            Item::Pass,
            data(0, &[(MIB, 3)]),
        ];
        assert_eq!(got, expected);
    }

    #[test]
    fn what_was_broken_off_comes_again() {
        let got = items(4 * MIB, &[(MIB, MIB, 1), (2 * MIB, 4096, 2), (2 * MIB, MIB, 3)]).unwrap();
        assert_eq!(got, [data(1, &[(MIB, 1)]), Item::Pass, data(2, &[(MIB, 3)])]);
        let got = items(4 * MIB, &[(2 * MIB, 4096, 2), (MIB, 3 * MIB, 0)]).unwrap();
        assert_eq!(got, [Item::Pass, Item::Zeros(1..4)]);
        assert!(items(4 * MIB, &[(2 * MIB, 4096, 2), (MIB, MIB, 1)]).is_err());
        assert!(items(4 * MIB, &[(2 * MIB, 4096, 2), (2 * MIB, 4096, 2)]).is_err());
    }

    #[test]
    fn a_part_of_a_segment_is_an_error() {
        for pieces in [
            &[(4096, MIB, 1)][..],
            &[(0, 4096, 1)],
            &[(0, 4096, 0)],
            &[(0, MIB + 4096, 0)],
            &[(0, 4096, 1), (8192, MIB - 8192, 1)],
            &[(0, 4096, 1), (MIB, MIB, 1)],
            &[(3 * MIB, MIB + 1, 1)],
        ] {
            assert!(items(4 * MIB, pieces).is_err(), "{pieces:?}");
        }
    }
}
