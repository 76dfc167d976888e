// SPDX-License-Identifier: GPL-3.0-or-later
//! From a device and a set of its blocks to a stream.

use std::io;
use std::path::Path;

use anyhow::Context;

use crate::blockio::{ReadAt, ReadError, read_to_keep};
use crate::report::Progress;
use crate::runs::BlockSet;
use crate::stream::Encode;
use crate::units::{BlockSize, Extent};

/// Bytes in all blocks of a set, without regard to where the device ends.
///
/// Up to 2^31 blocks of up to 2^41 bytes: more than 64 bits hold.
pub fn estimate(blocks: &BlockSet, block_size: BlockSize) -> u128 {
    u128::from(blocks.len()) * u128::from(block_size.bytes())
}

/// The byte ranges of a set of blocks, cut off at the device's end.
pub fn extents(
    blocks: &BlockSet,
    block_size: BlockSize,
    device_bytes: u64,
) -> impl Iterator<Item = Extent> + '_ {
    blocks.runs().map_while(move |run| block_size.extent(run, device_bytes))
}

/// The same widened to whole units of a size, cut off at the device's end: whoever is sent a byte of a unit is sent all of it. With a unit
/// of one byte they are what they were.
pub fn whole(
    extents: impl Iterator<Item = Extent>,
    unit_bytes: u64,
    device_bytes: u64,
) -> impl Iterator<Item = Extent> {
    let mut extents = extents.map(move |extent| {
        let begin = extent.offset / unit_bytes * unit_bytes;
        let end = extent.end().div_ceil(unit_bytes).saturating_mul(unit_bytes).min(device_bytes);
        Extent { offset: begin, len: end - begin }
    });
    let mut pending = extents.next();
    std::iter::from_fn(move || {
        let mut current = pending.take()?;
        // Neighbours may share a unit.
        for next in extents.by_ref() {
            if next.offset > current.end() {
                pending = Some(next);
                break;
            }
            current.len = next.end() - current.offset;
        }
        Some(current)
    })
}

/// Reads the blocks and writes them as a stream, its end included.
///
/// `path` names the device in errors.
pub fn copy(
    source: &dyn ReadAt,
    path: &Path,
    blocks: &BlockSet,
    block_size: BlockSize,
    encoder: &mut dyn Encode,
    progress: &Progress,
) -> anyhow::Result<()> {
    let all = extents(blocks, block_size, source.size());
    copy_pass(source, path, all, block_size, encoder, &mut |bytes| progress.advance(bytes))?;
    encoder.finish().context(WRITING)
}

/// Reads extents and writes them into a stream, which does not end with them; nothing is under way when this returns. `advanced` is told of every piece.
pub fn copy_pass(
    source: &dyn ReadAt,
    path: &Path,
    extents: impl Iterator<Item = Extent>,
    block_size: BlockSize,
    encoder: &mut dyn Encode,
    advanced: &mut dyn FnMut(u64),
) -> anyhow::Result<()> {
    let copied = read_to_keep(source, extents, |piece| {
        let bytes = piece.bytes.len() as u64;
        encoder.own_piece(piece).map_err(CopyError::Write)?;
        advanced(bytes);
        Ok::<_, CopyError>(())
    });
    // After a pass comes a moment when the device is held: no thread is left until then. An encoder that cannot write says so
    // again, should it be used in spite of a read error.
    let rested = encoder.rest().map_err(CopyError::Write);
    copied.and(rested).or_else(|e| match e {
        CopyError::Read(e) => {
            let block = block_size.block_of(e.offset());
            Err(e).with_context(|| format!("{}: block {block} cannot be read", path.display()))
        }
        CopyError::Write(e) => Err(e).context(WRITING),
    })
}

const WRITING: &str = "cannot write the stream to stdout";

enum CopyError {
    Read(ReadError),
    Write(io::Error),
}

impl From<ReadError> for CopyError {
    fn from(e: ReadError) -> Self {
        CopyError::Read(e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blockio::Piece;
    use crate::blockio::faulty::Faulty;
    use crate::runs::Run;

    /// Takes pieces until it is full.
    struct Sink {
        pieces: Vec<(u64, usize)>,
        room: usize,
        finished: bool,
    }

    impl Encode for Sink {
        fn piece(&mut self, piece: &Piece) -> io::Result<()> {
            if self.pieces.len() == self.room {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.pieces.push((piece.offset, piece.bytes.len()));
            Ok(())
        }

        fn finish(&mut self) -> io::Result<()> {
            self.finished = true;
            Ok(())
        }
    }

    fn blocks(runs: &[(u64, u64)]) -> BlockSet {
        let mut set = BlockSet::new(1 << 31);
        runs.iter().for_each(|&(begin, end)| set.insert(Run { begin, end }));
        set
    }

    fn run(source: &Faulty, runs: &[(u64, u64)], room: usize) -> (anyhow::Result<()>, Sink) {
        let mut sink = Sink { pieces: Vec::new(), room, finished: false };
        let size = BlockSize::from_sectors(8).unwrap();
        let result = copy(source, Path::new("/dev/x"), &blocks(runs), size, &mut sink, &Progress::hidden());
        (result, sink)
    }

    #[test]
    fn ranges_past_the_end_are_cut_or_left_out() {
        let (result, sink) = run(&Faulty::new(10_000, 4096), &[(0, 1), (2, 5), (9, 10)], 9);
        result.unwrap();
        assert_eq!(sink.pieces, [(0, 4096), (8192, 10_000 - 8192)]);
        assert!(sink.finished);
    }

    #[test]
    fn a_read_error_names_the_block_and_the_stream_gets_no_end() {
        let mut source = Faulty::new(1 << 20, 4096);
        source.bad = Some(Extent { offset: 77 * 4096 + 5, len: 1 });
        let (result, sink) = run(&source, &[(0, 1), (70, 80)], 9);
        let message = format!("{:#}", result.unwrap_err());
        assert!(message.starts_with("/dev/x: block 77 cannot be read: byte 315392: "), "{message}");
        assert!(!sink.finished);
    }

    #[test]
    fn a_write_error_ends_the_copy() {
        let (result, sink) = run(&Faulty::new(1 << 20, 4096), &[(0, 1), (2, 3), (4, 5)], 1);
        assert!(format!("{:#}", result.unwrap_err()).starts_with(WRITING));
        assert!(!sink.finished);
    }

    #[test]
    fn whole_units_are_sent_once() {
        let extent = |offset, len| Extent { offset, len };
        let all = |unit, extents: &[(u64, u64)]| -> Vec<(u64, u64)> {
            let extents = extents.iter().map(|&(offset, len)| extent(offset, len));
            whole(extents, unit, 1050).map(|extent| (extent.offset, extent.len)).collect()
        };
        assert_eq!(all(1, &[(3, 4), (9, 1)]), [(3, 4), (9, 1)]);
        assert_eq!(all(100, &[]), []);
        assert_eq!(
            all(100, &[(3, 4), (9, 1), (99, 2), (310, 10), (399, 1), (1049, 1)]),
            [(0, 200), (300, 100), (1000, 50)]
        );
        assert_eq!(all(100, &[(0, 100), (100, 100), (300, 1)]), [(0, 200), (300, 100)]);
        assert_eq!(all(4096, &[(1, 1)]), [(0, 1050)]);
    }

    #[test]
    fn the_estimate_has_no_overflow() {
        let all = blocks(&[(0, 1 << 31)]);
        assert_eq!(
            estimate(&all, BlockSize::from_sectors(u32::MAX).unwrap()),
            (1u128 << 31) * u128::from(u32::MAX) * 512
        );
    }
}
