// SPDX-License-Identifier: GPL-3.0-or-later
//! A device that is only a model, and the streams that a sender would make of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::stream_builder::{FRAME, HEADER, Record, TRAILER, ZEROS, frame, header, stream, trailer};

pub const MIB: u64 = 1 << 20;

/// A device of which most is zeros.
pub struct Device {
    pub bytes: u64,
    pub identity: u128,
    pub generation: u128,
    pub era: u32,
    pub time: i64,
    /// By 1 MiB: what is not zeros.
    data: BTreeMap<u64, Vec<u8>>,
    changed: BTreeSet<u64>,
}

impl Device {
    pub fn new(bytes: u64) -> Self {
        Self {
            bytes,
            identity: 0xd1,
            generation: 0xe1,
            era: 1,
            time: 1_790_000_000,
            data: BTreeMap::new(),
            changed: BTreeSet::new(),
        }
    }

    fn segment_bytes(&self, segment: u64) -> usize {
        MIB.min(self.bytes - segment * MIB) as usize
    }

    /// Writes 4 KiB, which a seed makes; the seed 0 makes zeros.
    pub fn write(&mut self, offset: u64, seed: u64) {
        let segment = offset / MIB;
        let len = self.segment_bytes(segment);
        let bytes = self.data.entry(segment).or_insert_with(|| vec![0; len]);
        let at = (offset % MIB) as usize;
        let end = len.min(at + 4096);
        if seed == 0 {
            bytes[at..end].fill(0);
        } else {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&seed.to_le_bytes());
            hasher.finalize_xof().fill(&mut bytes[at..end]);
        }
        self.changed.insert(segment);
    }

    /// A whole segment of data.
    pub fn fill(&mut self, segment: u64, seed: u64) {
        for at in (0..self.segment_bytes(segment) as u64).step_by(4096) {
            self.write(segment * MIB + at, (seed << 32) + at + 1);
        }
    }

    /// All of it.
    pub fn image(&self) -> Vec<u8> {
        let mut image = vec![0; self.bytes as usize];
        for (segment, bytes) in &self.data {
            image[(segment * MIB) as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        image
    }

    /// A stream of everything, and on to the next era.
    pub fn full(&mut self) -> Vec<u8> {
        let mut entries = Vec::new();
        let mut at = 0;
        for &segment in self.data.keys() {
            entries.push(Part::Zeros(at, segment * MIB));
            entries.push(Part::Data(segment));
            at = ((segment + 1) * MIB).min(self.bytes);
        }
        entries.push(Part::Zeros(at, self.bytes));
        self.changed.clear();
        self.stream(1, 0, &[entries])
    }

    /// A stream of what changed.
    pub fn increment(&mut self) -> Vec<u8> {
        let pass = self.changes();
        self.stream(2, self.era, &[pass])
    }

    /// What changed, to be given to `stream_of`; it is not told again.
    pub fn changes(&mut self) -> Vec<Part> {
        std::mem::take(&mut self.changed).into_iter().map(Part::Data).collect()
    }

    /// A stream of passes; what a segment holds is what it holds now.
    pub fn stream(&mut self, kind: u8, since: u32, passes: &[Vec<Part>]) -> Vec<u8> {
        let mut head = header(self.bytes);
        head[0..16].copy_from_slice(&self.identity.to_be_bytes());
        head[16..32].copy_from_slice(&self.generation.to_be_bytes());
        head[48..52].copy_from_slice(&since.to_le_bytes());
        head[52] = kind;
        head[53] = 3;
        head[64..72].copy_from_slice(&self.time.to_le_bytes());
        self.time += 3600;
        self.era += 1;
        let mut records = vec![Record::new(HEADER, 0, head)];
        let (mut data_bytes, mut zero_bytes) = (0, 0);
        for part in passes.iter().flatten() {
            let number = records.len() as u64;
            let payload = match *part {
                Part::Zeros(begin, end) if begin == end => continue,
                Part::Zeros(begin, end) => {
                    zero_bytes += end - begin;
                    frame(&[(begin, ZEROS | (end - begin))], &[])
                }
                Part::Data(segment) => {
                    let bytes = &self.data[&segment];
                    data_bytes += bytes.len() as u64;
                    frame(&[(segment * MIB, bytes.len() as u64)], bytes)
                }
            };
            records.push(Record::new(FRAME, number, payload));
        }
        let mut end = trailer(&records, data_bytes, zero_bytes);
        end[24..28].copy_from_slice(&self.era.to_le_bytes());
        end[28..32].copy_from_slice(&(passes.len() as u32).to_le_bytes());
        records.push(Record::new(TRAILER, records.len() as u64, end));
        stream(&records)
    }
}

/// A part of a stream.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    Data(u64),
    /// From, to.
    Zeros(u64, u64),
}
