// SPDX-License-Identifier: GPL-3.0-or-later
//! Version 2 of the stream: whatever is done to a sound stream is noticed, and what a hostile one asks for is not done.

#[path = "common/stream_builder.rs"]
mod stream_builder;

use std::cell::RefCell;

use era::blockio::Piece;
use era::stream::{self, Consistency, Encode, EncoderV2, Header, Kind, Summary, Visitor};
use era::units::{Era, Extent};
use proptest::prelude::*;
use stream_builder::*;

/// Applies a stream to memory and refuses to be led outside of it.
struct Memory(RefCell<Vec<u8>>);

impl Visitor for Memory {
    fn begin(&mut self, header: Option<&Header>) -> anyhow::Result<()> {
        let bytes = header.expect("a header").device_bytes;
        anyhow::ensure!(bytes <= 16 << 20, "too large for a test");
        self.0.borrow_mut().resize(bytes as usize, 0xee);
        Ok(())
    }

    fn data(&mut self, offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
        self.0.borrow_mut()[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn zeros(&mut self, extent: Extent) -> anyhow::Result<()> {
        self.0.borrow_mut()[extent.offset as usize..extent.end() as usize].fill(0);
        Ok(())
    }
}

fn apply(bytes: &[u8]) -> anyhow::Result<(Summary, Vec<u8>)> {
    let mut memory = Memory(RefCell::default());
    let summary = stream::read(bytes, &mut memory)?;
    Ok((summary, memory.0.into_inner()))
}

/// The message of a refusal, which must name a place in the stream.
#[track_caller]
fn refusal(bytes: &[u8]) -> String {
    let message = format!("{:#}", apply(bytes).expect_err("must be refused"));
    assert!(message.starts_with("stream, byte "), "{message}");
    message
}

/// The place that a refusal names.
fn place(message: &str) -> usize {
    message["stream, byte ".len()..].split(':').next().unwrap().parse().unwrap()
}

#[test]
fn a_stream_made_from_the_specification_is_read() {
    let (summary, memory) = apply(&stream(&sound())).unwrap();
    assert_eq!((summary.records, summary.data_bytes, summary.zero_bytes), (3, 612, 4096));
    let mut expected = vec![0xee; DEVICE_BYTES as usize];
    expected[..600].fill(7);
    expected[4096..8192].fill(0);
    expected[1000..1005].copy_from_slice(b"abcde");
    expected[2000..2003].copy_from_slice(b"fgh");
    expected[DEVICE_BYTES as usize - 4..].copy_from_slice(b"last");
    assert!(memory == expected);
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = stream(&sound());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let message = refusal(&damaged);
            assert!(place(&message) <= at, "byte {at}, bit {bit}: {message}");
        }
    }
}

#[test]
fn every_truncation_is_noticed() {
    let bytes = stream(&sound());
    // Without any byte it is an empty version 1 stream, which says of itself that it is not complete.
    let empty = stream::read(&[][..], &mut Ignore).unwrap();
    assert!(!empty.ended);
    for len in 1..bytes.len() {
        let message = refusal(&bytes[..len]);
        assert!(place(&message) <= len, "{len}: {message}");
    }
}

/// Takes any stream and does nothing with it.
struct Ignore;

impl Visitor for Ignore {
    fn begin(&mut self, _: Option<&Header>) -> anyhow::Result<()> {
        Ok(())
    }
    fn data(&mut self, _: u64, _: &[u8]) -> anyhow::Result<()> {
        Ok(())
    }
    fn zeros(&mut self, _: Extent) -> anyhow::Result<()> {
        Ok(())
    }
}

#[test]
fn missing_repeated_and_swapped_records_are_noticed() {
    let sound = sound();
    for i in 0..sound.len() {
        let mut missing = sound.clone();
        missing.remove(i);
        refusal(&stream(&missing));

        let mut repeated = sound.clone();
        repeated.insert(i, sound[i].clone());
        refusal(&stream(&repeated));

        for j in 0..i {
            let mut swapped = sound.clone();
            swapped.swap(i, j);
            refusal(&stream(&swapped));
        }
    }
}

#[test]
fn renumbering_does_not_hide_a_missing_or_swapped_frame() {
    let renumbered = |mut records: Vec<Record>| {
        for (number, record) in (0..).zip(&mut records) {
            record.number = number;
        }
        refusal(&stream(&records))
    };
    let mut missing = sound();
    missing.remove(2);
    assert!(renumbered(missing).contains("hash over all records"));
    let mut swapped = sound();
    swapped.swap(1, 3);
    assert!(renumbered(swapped).contains("hash over all records"));
    // A frame of another stream in the place of one.
    let mut foreign = sound();
    foreign[1].payload = frame(&[(1000, 5), (2000, 3)], b"ABCDEFGH");
    assert!(refusal(&stream(&foreign)).contains("hash over all records"));
}

#[test]
fn nothing_may_follow_the_trailer() {
    for rubbish in [&b"\0"[..], b"ERARANGE", &stream(&sound())] {
        let mut bytes = stream(&sound());
        let len = bytes.len();
        bytes.extend(rubbish);
        let message = refusal(&bytes);
        assert_eq!(place(&message), len, "{message}");
        assert!(message.contains("after the end"), "{message}");
    }
}

#[test]
fn unknown_records_are_skipped_when_they_are_optional_and_refused_when_not() {
    let unknown = |kind, flags| Record { flags, ..Record::new(kind, 1, b"from the future".to_vec()) };
    let (summary, _) = apply(&finished(vec![unknown(OPTIONAL | 77, 0)], 0, 0)).unwrap();
    assert_eq!((summary.records, summary.ended), (0, true));
    // Also with flags of their own, and where a known number is used for another, optional, purpose.
    apply(&finished(vec![unknown(OPTIONAL | 77, 0xff)], 0, 0)).unwrap();
    apply(&finished(vec![unknown(OPTIONAL | FRAME, 1)], 0, 0)).unwrap();
    assert!(refusal(&finished(vec![unknown(77, 0)], 0, 0)).contains("unknown type 77"));
}

#[test]
fn a_skipped_record_is_checked_all_the_same() {
    let record = Record::new(OPTIONAL | 77, 1, b"from the future".to_vec());
    let bytes = finished(vec![record], 0, 0);
    let at = bytes.windows(4).position(|w| w == b"from").unwrap();
    let mut damaged = bytes.clone();
    damaged[at] ^= 1;
    assert!(refusal(&damaged).contains("checksum"));
}

#[test]
fn malformed_frames_are_refused() {
    let all = DEVICE_BYTES;
    for (payload, says) in [
        (vec![], "length of a frame"),
        (vec![0; 7], "length of a frame"),
        (frame(&[], b""), "number of extents"),
        (frame(&vec![(0, ZEROS | 1); 4097], b""), "number of extents"),
        (u32::MAX.to_le_bytes().iter().chain(&[0; 60]).copied().collect(), "number of extents"),
        (frame(&[(0, 4)], b"abcd")[..20].to_vec(), "length of a frame"),
        (frame(&[(0, 4)], b"abc"), "bytes of data"),
        (frame(&[(0, 4)], b"abcde"), "bytes of data"),
        (frame(&[(0, ZEROS | 4)], b"abcd"), "bytes of data"),
        (frame(&[(0, 0)], b""), "length of an extent"),
        (frame(&[(0, ZEROS)], b""), "length of an extent"),
        (frame(&[(all, 1)], b"x"), "end of an extent"),
        (frame(&[(all - 1, 2)], b"xy"), "end of an extent"),
        (frame(&[(0, ZEROS | (all + 1))], b""), "end of an extent"),
        (frame(&[(u64::MAX, 1)], b"x"), "end of an extent"),
        (frame(&[(u64::MAX, ZEROS | u64::MAX)], b""), "end of an extent"),
        (frame(&[(8, 2), (0, 2)], b"abcd"), "offset of an extent"),
        (frame(&[(8, 2), (9, 2)], b"abcd"), "offset of an extent"),
    ] {
        let message = refusal(&finished(vec![Record::new(FRAME, 1, payload)], 0, 0));
        assert!(message.contains(says), "{says}: {message}");
        assert_eq!(place(&message), 8 + 32 + 72, "{message}");
    }
    let mut reserved = frame(&[(0, 1)], b"x");
    reserved[5] = 1;
    assert!(refusal(&finished(vec![Record::new(FRAME, 1, reserved)], 1, 0)).contains("reserved"));
    let flagged = Record { flags: 2, ..Record::new(FRAME, 1, frame(&[(0, 1)], b"x")) };
    assert!(refusal(&finished(vec![flagged], 1, 0)).contains("flags"));
}

#[test]
fn malformed_headers_and_trailers_are_refused() {
    let with_header = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut records = sound();
        change(&mut records[0].payload);
        refusal(&stream(&records))
    };
    assert!(with_header(&|h| h.truncate(71)).contains("length of the header"));
    assert!(with_header(&|h| h.push(0)).contains("length of the header"));
    assert!(with_header(&|h| h[39] = 0x80).contains("size of the device"));
    assert!(with_header(&|h| h[40..48].fill(0)).contains("block size"));
    assert!(with_header(&|h| h[40] = 1).contains("block size"));
    assert!(with_header(&|h| h[52] = 0).contains("kind"));
    assert!(with_header(&|h| h[52] = 5).contains("kind"));
    assert!(with_header(&|h| h[53] = 4).contains("consistency"));
    assert!(with_header(&|h| h[54] = 1).contains("reserved"));
    assert!(with_header(&|h| h[63] = 1).contains("reserved"));
    assert!(with_header(&|h| h[71] = 0x7f).contains("time"));
    assert!(with_header(&|h| h[56..60].copy_from_slice(&(-5i32).to_le_bytes())).contains("nanoseconds"));
    assert!(
        with_header(&|h| h[56..60].copy_from_slice(&1_000_000_000u32.to_le_bytes())).contains("nanoseconds")
    );
    let with_trailer = |at: usize| {
        let mut records = sound();
        records[4].payload[at] ^= 1;
        refusal(&stream(&records))
    };
    for (at, says) in [(0, "frames"), (8, "data"), (16, "zeros"), (40, "hash"), (71, "hash")] {
        assert!(with_trailer(at).contains(says), "{says}");
    }
    let mut headless = sound();
    headless[0].kind = FRAME;
    assert!(refusal(&stream(&headless)).contains("first record"));
    let second = vec![Record::new(HEADER, 1, header(DEVICE_BYTES))];
    assert!(refusal(&finished(second, 0, 0)).contains("not a header"));
}

#[test]
fn claimed_lengths_are_bounded_before_anything_is_read_or_allocated() {
    for claim in [4_259_849, u32::MAX] {
        let long = Record { stored_bytes: Some(claim), ..Record::new(FRAME, 1, frame(&[(0, 1)], b"x")) };
        let message = refusal(&finished(vec![long], 1, 0));
        assert!(message.contains("length of a record"), "{message}");
        let plain = zstd::bulk::compress(&frame(&[(0, 1)], b"x"), 1).unwrap();
        let wide = Record { flags: 1, plain_bytes: Some(claim), ..Record::new(FRAME, 1, plain) };
        assert!(refusal(&finished(vec![wide], 1, 0)).contains("decompressed length"));
    }
}

#[test]
fn compressed_data_must_be_what_was_announced() {
    let bomb = zstd::bulk::compress(&vec![0; 256 << 20], 1).unwrap();
    let plain = frame(&[(0, 5)], b"abcde");
    let packed = zstd::bulk::compress(&plain, 1).unwrap();
    let len = plain.len() as u32;
    for (payload, announced) in [
        (bomb.clone(), 4096),
        (bomb, 4_259_848),
        (packed.clone(), len - 1),
        (packed.clone(), len + 1),
        (packed[..packed.len() - 1].to_vec(), len),
        (b"not zstd".to_vec(), len),
        (vec![], len),
    ] {
        let record = Record { flags: 1, plain_bytes: Some(announced), ..Record::new(FRAME, 1, payload) };
        let message = refusal(&finished(vec![record], 5, 0));
        assert!(message.contains("compressed data"), "{message}");
    }
    let uncompressed = Record { plain_bytes: Some(len + 1), ..Record::new(FRAME, 1, plain) };
    assert!(refusal(&finished(vec![uncompressed], 5, 0)).contains("decompressed length"));
}

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

/// Encodes a device's extents as a copy would, in pieces of `step` bytes.
fn encode(device: &[u8], header: &Header, extents: &[Extent], step: u64, level: Option<i32>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = EncoderV2::new(&mut bytes, header, level, Era(9)).unwrap();
    for &extent in extents {
        let mut offset = extent.offset;
        while offset < extent.end() {
            let len = step.min(extent.end() - offset);
            let bytes = &device[offset as usize..][..len as usize];
            encoder.piece(&Piece { extent, offset, bytes }).unwrap();
            offset += len;
        }
    }
    encoder.finish().unwrap();
    drop(encoder);
    bytes
}

#[test]
fn what_the_header_and_trailer_say_comes_back() {
    let header = describe(1 << 20, 4096);
    let bytes = encode(&[1; 1 << 20], &header, &[Extent { offset: 0, len: 1 << 20 }], 1 << 20, None);
    let (summary, _) = apply(&bytes).unwrap();
    let (read, trailer) = summary.frame.unwrap();
    assert_eq!(read, header);
    assert_eq!((trailer.next, trailer.data_bytes), (Era(9), 1 << 20));
    assert_eq!(summary.stream_bytes, bytes.len() as u64);
}

#[test]
fn zero_blocks_cost_nothing() {
    let size = 16 << 20;
    let whole = [Extent { offset: 0, len: size }];
    let mut device = vec![0; size as usize];
    let empty = encode(&device, &describe(size, 1 << 19), &whole, 1 << 20, None).len();
    assert!(empty < 400, "{empty} bytes for nothing but zeros");
    device[5 << 20] = 1;
    let one = encode(&device, &describe(size, 1 << 19), &whole, 1 << 20, None);
    assert_eq!(apply(&one).unwrap().0.data_bytes, 64 << 10);
}

#[test]
fn frames_that_do_not_compress_are_stored_as_they_are() {
    let mut random = vec![0; 2 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut random);
    let extents = [Extent { offset: 0, len: 2 << 20 }];
    let header = describe(2 << 20, 4096);
    let plain = encode(&random, &header, &extents, 1 << 20, None);
    assert_eq!(encode(&random, &header, &extents, 1 << 20, Some(1)).len(), plain.len());
    let text = vec![b'x'; 2 << 20];
    assert!(encode(&text, &header, &extents, 1 << 20, Some(1)).len() < 10_000);
}

proptest! {
    /// Any device content, block size, cut into pieces and choice of extents comes out as it went in.
    #[test]
    fn what_is_encoded_is_decoded(
        parts in prop::collection::vec((0u8..3, 1usize..70_000), 1..12),
        lens in prop::collection::vec((0u64..40_000, 1u64..90_000), 1..8),
        block_sectors in 1u64..300,
        step in 1u64..120_000,
        level in prop::option::of(1i32..4),
    ) {
        let device: Vec<u8> = parts
            .iter()
            .flat_map(|&(kind, len)| (0..len).map(move |i| if kind == 0 { 0 } else { (i % 251) as u8 * (kind - 1) }))
            .collect();
        let size = device.len() as u64;
        let mut at = 0;
        let extents: Vec<_> = lens.into_iter().map_while(|(gap, len)| {
            let offset = at + gap;
            at = (offset + len).min(size);
            (offset < size).then(|| Extent { offset, len: at - offset })
        }).collect();
        let bytes = encode(&device, &describe(size, block_sectors * 512), &extents, step, level);
        let (summary, memory) = apply(&bytes).unwrap();
        let mut expected = vec![0xee; device.len()];
        for e in &extents {
            let range = e.offset as usize..e.end() as usize;
            expected[range.clone()].copy_from_slice(&device[range]);
        }
        prop_assert!(memory == expected);
        prop_assert_eq!(summary.data_bytes + summary.zero_bytes, extents.iter().map(|e| e.len).sum::<u64>());
    }

    /// Bytes changed with all checksums made right again: the reader never panics and never leaves the device.
    #[test]
    fn hostile_payloads_do_no_harm(
        which in 0usize..5,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut records = sound();
        for (index, value) in changes {
            let payload = &mut records[which].payload;
            let at = index.index(payload.len());
            payload[at] = value;
        }
        if which < 4 {
            let trailer = trailer(&records[..4], 612, 4096);
            records[4].payload = trailer;
        }
        let _ = apply(&stream(&records));
    }

    #[test]
    fn rubbish_is_refused(bytes in prop::collection::vec(any::<u8>(), 1..200), magic in any::<bool>()) {
        let mut stream = if magic { MAGIC.to_vec() } else { Vec::new() };
        stream.extend(bytes);
        prop_assert!(apply(&stream).is_err());
    }
}
