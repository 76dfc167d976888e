// SPDX-License-Identifier: GPL-3.0-or-later
//! Version 2 of the stream, made and checked by several threads: nothing of what comes out depends on how many there are.

use std::io::{self, Write};

use era::blockio::Piece;
use era::stream::{self, Consistency, Encode, EncoderV2, Header, Kind, OPTIONAL, Output, Visitor};
use era::units::{Era, Extent};

fn describe(device_bytes: u64, block_bytes: u64) -> Header {
    Header {
        device: uuid::Uuid::from_u128(1),
        generation: uuid::Uuid::from_u128(2),
        device_bytes,
        block_bytes,
        since: Era(3),
        kind: Kind::Full,
        consistency: Consistency::Snapshot,
        time: "2026-01-02T03:04:05.000000006Z".parse().unwrap(),
    }
}

/// Takes bytes until it is full.
struct Full<'a> {
    taken: &'a mut Vec<u8>,
    room: usize,
}

impl Write for Full<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.taken.len() + bytes.len() > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.taken.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Full<'_> {}

/// Frames of data, of zeros and of what does not compress; with a break in the middle, as between two passes.
fn write_in_parallel(
    device: &[u8],
    level: Option<i32>,
    output: impl Output,
    parallel: bool,
) -> io::Result<()> {
    let header = describe(device.len() as u64, 4096);
    let mut encoder = EncoderV2::new(output, &header, level, Era(9))?;
    if parallel {
        encoder = encoder.in_parallel();
    }
    let extent = Extent { offset: 0, len: device.len() as u64 };
    for (i, bytes) in device.chunks(700_000).enumerate() {
        encoder.piece(&Piece { extent, offset: i as u64 * 700_000, bytes })?;
        if i == 10 {
            encoder.rest()?;
        }
        if i == 15 {
            encoder.optional(OPTIONAL | 99, b"between frames")?;
        }
    }
    encoder.finish()
}

fn mixed(len: usize) -> Vec<u8> {
    let mut device = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut device[..len / 3]);
    for (i, byte) in device[len / 2..].iter_mut().enumerate() {
        *byte = (i / 50) as u8;
    }
    device
}

#[test]
fn the_bytes_are_the_same_with_many_threads_and_with_none() {
    let device = mixed(15 << 20);
    for level in [None, Some(1)] {
        let (mut alone, mut together) = (Vec::new(), Vec::new());
        write_in_parallel(&device, level, &mut alone, false).unwrap();
        write_in_parallel(&device, level, &mut together, true).unwrap();
        assert!(alone == together, "{level:?}");
        let mut contents = Contents(vec![0xee; device.len()]);
        assert!(stream::read(&together[..], &mut contents).unwrap().ended);
        assert!(contents.0 == device);
    }
}

#[test]
fn an_output_that_fails_fails_the_encoder_and_stays_failed() {
    let device = mixed(15 << 20);
    let mut whole = Vec::new();
    write_in_parallel(&device, None, &mut whole, true).unwrap();
    for room in [0, 8, 500, 1 << 20, whole.len() / 2, whole.len() - 1] {
        let mut taken = Vec::new();
        let e = write_in_parallel(&device, None, Full { taken: &mut taken, room }, true).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::StorageFull);
        assert!(whole.starts_with(&taken));
    }
    let mut taken = Vec::new();
    let header = describe(device.len() as u64, 4096);
    let full = Full { taken: &mut taken, room: 5 << 20 };
    let mut encoder = EncoderV2::new(full, &header, None, Era(9)).unwrap().in_parallel();
    let extent = Extent { offset: 0, len: 8 << 20 };
    let mut result = Ok(());
    for offset in (0..8u64 << 20).step_by(1 << 20) {
        let bytes = &device[..1 << 20];
        result = result.and(encoder.piece(&Piece { extent, offset, bytes }));
    }
    assert!(result.and(encoder.rest()).is_err());
    assert!(
        encoder.rest().is_err() && encoder.finish().is_err(),
        "a record is missing, and the stream goes on"
    );
}

#[test]
fn a_damaged_frame_is_found_after_all_before_it_were_handed_on() {
    let device = mixed(15 << 20);
    let mut whole = Vec::new();
    write_in_parallel(&device, Some(1), &mut whole, false).unwrap();
    // A byte in the middle, or an end there.
    for at in [whole.len() / 3, whole.len() / 2, whole.len() - 100_000] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        let mut counted = Counted::default();
        stream::read(&damaged[..], &mut counted).unwrap_err();
        let mut cut = Counted::default();
        stream::read(&whole[..at], &mut cut).unwrap_err();
        assert_eq!(counted.bytes, cut.bytes, "{at}");
        assert!(cut.bytes > 0);
    }
}

/// How much was handed on.
#[derive(Default)]
struct Counted {
    bytes: u64,
}

impl Visitor for Counted {
    fn begin(&mut self, _header: Option<&Header>) -> anyhow::Result<()> {
        Ok(())
    }

    fn data(&mut self, _offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn zeros(&mut self, extent: Extent) -> anyhow::Result<()> {
        self.bytes += extent.len;
        Ok(())
    }
}

/// What a device holds afterwards.
struct Contents(Vec<u8>);

impl Visitor for Contents {
    fn begin(&mut self, _header: Option<&Header>) -> anyhow::Result<()> {
        Ok(())
    }

    fn data(&mut self, offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
        self.0[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn zeros(&mut self, extent: Extent) -> anyhow::Result<()> {
        self.0[extent.offset as usize..extent.end() as usize].fill(0);
        Ok(())
    }
}
