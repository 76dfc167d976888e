// SPDX-License-Identifier: GPL-3.0-or-later
//! Streams of a device that there is not, as `era send` would write them.
//!
//! They are made before anything is measured, so that who takes them is measured alone. Increments begin and end with the same
//! era: they can be taken again and again, and each time all of it is new where two of them come in turn.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use era::blockio::Piece;
use era::runs::BlockSet;
use era::stream::{Consistency, Encode, EncoderV2, Header, Kind};
use era::units::{BlockSize, Era};

use crate::random::Random;
use crate::stream_builder::{FRAME, HEADER, Record, TRAILER, ZEROS, frame, stream, trailer};

const ERA: Era = Era(1);
const BLOCK_BYTES: usize = 512 << 10;

/// A stream of the blocks of a set, with data that no other seed gives and no compressor makes smaller.
pub fn write(path: &Path, device_bytes: u64, kind: Kind, blocks: &BlockSet, seed: u64) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut encoder = EncoderV2::new(&mut file, &header(device_bytes, kind), None, ERA)?;
    let block_size = BlockSize::from_sectors(u32::try_from(BLOCK_BYTES / 512)?)?;
    let mut bytes = vec![0; BLOCK_BYTES];
    for run in blocks.runs() {
        for block in run.begin..run.end {
            let run = era::runs::Run { begin: block, end: block + 1 };
            let Some(extent) = block_size.extent(run, device_bytes) else { continue };
            Random::new(seed << 32 | block).fill(&mut bytes);
            let bytes = &bytes[..usize::try_from(extent.len)?];
            encoder.piece(&Piece { extent, offset: extent.offset, bytes })?;
        }
    }
    encoder.finish()?;
    drop(encoder);
    file.flush()?;
    // Only what is on the disk can be dropped from the page cache.
    file.get_ref().sync_all()?;
    Ok(())
}

/// A full copy of a device on which there is nothing yet, however large: one frame says so.
pub fn write_empty(path: &Path, device_bytes: u64) -> anyhow::Result<()> {
    let mut records = vec![
        Record::new(HEADER, 0, packed(&header(device_bytes, Kind::Full))?),
        Record::new(FRAME, 1, frame(&[(0, ZEROS | device_bytes)], &[])),
    ];
    let mut end = trailer(&records, 0, device_bytes);
    end[24..28].copy_from_slice(&ERA.0.to_le_bytes());
    records.push(Record::new(TRAILER, 2, end));
    fs::write(path, stream(&records))?;
    Ok(())
}

fn header(device_bytes: u64, kind: Kind) -> Header {
    Header {
        device: uuid::Uuid::from_u128(1),
        generation: uuid::Uuid::from_u128(2),
        device_bytes,
        block_bytes: BLOCK_BYTES as u64,
        since: if kind == Kind::Full { Era(0) } else { ERA },
        kind,
        consistency: Consistency::Snapshot,
        time: jiff::Timestamp::UNIX_EPOCH,
    }
}

/// The header as it is in a stream, after the magic bytes and the head of its record.
fn packed(header: &Header) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    drop(EncoderV2::new(&mut bytes, header, None, ERA)?);
    Ok(bytes.split_off(8 + 32))
}
