// SPDX-License-Identifier: GPL-3.0-or-later
//! The loops that every byte, every block or every run goes through, on data in memory.

use std::fmt;
use std::hint::black_box;
use std::io::{self, Cursor};

use era::blockio::{Piece, ReadAt};
use era::metadata::{View, changed_since};
use era::runs::{BlockSet, Run};
use era::stream::{self, Consistency, Encode, EncoderV1, EncoderV2, Header, Kind, Output, Visitor};
use era::units::{Era, Extent};

use crate::metadata_builder::{self, Description, Eras, Writeset};
use crate::random::Random;

/// What the cost of a loop is counted by.
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(dead_code)] // one of the two programs names them
pub enum Unit {
    Byte,
    Block,
    Run,
}

pub struct Loop {
    pub name: &'static str,
    pub unit: Unit,
    /// How many of them one run goes through.
    pub units: u64,
    /// Makes the data, and what runs through them once.
    pub make: fn() -> Box<dyn FnMut()>,
}

/// Its name.
impl fmt::Display for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Larger than a processor's second cache, as real data are.
const BYTES: usize = 8 << 20;
const BLOCK_BYTES: u64 = 64 << 10;
const PIECE_BYTES: usize = 1 << 20;

/// Blocks of the device whose metadata are read.
const BLOCKS: u32 = 1 << 22;
const CURRENT_ERA: u32 = 1000;

pub const LOOPS: [Loop; 11] = [
    bytes("crc32c", || on_noise(|data| _ = black_box(crc32c::crc32c(data)))),
    bytes("blake3", || on_noise(|data| _ = black_box(blake3::hash(data)))),
    bytes("v1_encode", || on_noise(|data| encode_v1(data, &mut Nowhere))),
    bytes("v1_decode", || decoding(|data, stream| encode_v1(data, stream))),
    bytes("v2_encode", || on_noise(|data| encode_v2(data, None, &mut Nowhere))),
    bytes("v2_encode_zeros", || on(vec![0; BYTES], |data| encode_v2(data, None, &mut Nowhere))),
    bytes("v2_encode_compressed", || on_noise(|data| encode_v2(data, Some(1), &mut Nowhere))),
    bytes("v2_decode", || decoding(|data, stream| encode_v2(data, None, stream))),
    Loop {
        name: "changed_by_array",
        unit: Unit::Block,
        units: BLOCKS as u64,
        make: || changed(CURRENT_ERA / 2),
    },
    Loop {
        name: "changed_by_writesets",
        unit: Unit::Block,
        units: BLOCKS as u64,
        make: || changed(CURRENT_ERA - 1),
    },
    Loop { name: "runs_merged", unit: Unit::Run, units: BLOCKS as u64 / 4, make: runs_merged },
];

const fn bytes(name: &'static str, make: fn() -> Box<dyn FnMut()>) -> Loop {
    Loop { name, unit: Unit::Byte, units: BYTES as u64, make }
}

fn on(data: Vec<u8>, run: impl Fn(&[u8]) + 'static) -> Box<dyn FnMut()> {
    Box::new(move || run(&data))
}

fn noise() -> Vec<u8> {
    let mut data = vec![0; BYTES];
    Random::new(1).fill(&mut data);
    data
}

fn on_noise(run: impl Fn(&[u8]) + 'static) -> Box<dyn FnMut()> {
    on(noise(), run)
}

/// Reads the stream that an encoder makes of noise.
fn decoding(encode: impl Fn(&[u8], &mut Vec<u8>)) -> Box<dyn FnMut()> {
    let mut stream = Vec::new();
    encode(&noise(), &mut stream);
    on(stream, |stream| {
        let mut seen = Seen(0);
        stream::read(stream, &mut seen).expect("a sound stream");
        assert_eq!(seen.0, BYTES as u64);
    })
}

fn encode(encoder: &mut dyn Encode, data: &[u8]) {
    let extent = Extent { offset: 0, len: BYTES as u64 };
    for (bytes, i) in data.chunks(PIECE_BYTES).zip(0..) {
        encoder.piece(&Piece { extent, offset: i * PIECE_BYTES as u64, bytes }).expect("nothing can fail");
    }
    encoder.finish().expect("nothing can fail");
}

fn encode_v1(data: &[u8], output: &mut dyn Output) {
    encode(&mut EncoderV1::new(output), data);
}

fn encode_v2(data: &[u8], level: Option<i32>, output: &mut dyn Output) {
    let header = Header {
        device: uuid::Uuid::nil(),
        generation: uuid::Uuid::nil(),
        device_bytes: BYTES as u64,
        block_bytes: BLOCK_BYTES,
        since: Era(0),
        kind: Kind::Full,
        consistency: Consistency::None,
        time: jiff::Timestamp::UNIX_EPOCH,
    };
    encode(&mut EncoderV2::new(output, &header, level, Era(0)).expect("nothing can fail"), data);
}

/// Takes what is written as a pipe would, but at no cost.
struct Nowhere;

impl Output for Nowhere {}

impl io::Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(black_box(bytes).len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts the bytes that were handed on.
struct Seen(u64);

impl Visitor for Seen {
    fn begin(&mut self, _: Option<&Header>) -> anyhow::Result<()> {
        Ok(())
    }

    fn data(&mut self, _: u64, bytes: &[u8]) -> anyhow::Result<()> {
        // Or the compiler would see that nobody looks at them, and not copy them.
        self.0 += black_box(bytes).len() as u64;
        Ok(())
    }

    fn zeros(&mut self, extent: Extent) -> anyhow::Result<()> {
        self.0 += extent.len;
        Ok(())
    }
}

struct Memory(Vec<u8>);

impl ReadAt for Memory {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn align(&self) -> usize {
        1
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.0.get(at..)).unwrap_or_default();
        let len = buf.len().min(rest.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

/// Metadata whose checksums are checked and whose eras are compared, from an array without any order, or from the last
/// writeset alone.
fn changed(since: u32) -> Box<dyn FnMut()> {
    let mut what = Description::clean(BLOCKS, CURRENT_ERA);
    what.live.eras = Eras::new(|block| {
        let era = Random::new(block).below(u64::from(CURRENT_ERA) - 1);
        u32::try_from(era).expect("below the current era")
    });
    what.live.archived.insert(CURRENT_ERA - 1, Writeset::new(BLOCKS, (0..BLOCKS).step_by(3)));
    let mut image = Cursor::new(Vec::new());
    metadata_builder::write(&mut image, &what).expect("to memory");
    let image = Memory(image.into_inner());
    Box::new(move || {
        let changed = changed_since(&image, View::Offline, Era(since)).expect("sound metadata");
        assert!(!changed.blocks.is_empty());
    })
}

/// Blocks in pairs, put in one by one and read out as runs.
fn runs_merged() -> Box<dyn FnMut()> {
    let limit = u64::from(BLOCKS);
    Box::new(move || {
        let mut set = BlockSet::new(limit);
        for begin in (0..limit).filter(|block| block % 4 < 2) {
            set.insert(Run { begin, end: begin + 1 });
        }
        assert_eq!(set.runs().count() as u64, limit / 4);
    })
}
