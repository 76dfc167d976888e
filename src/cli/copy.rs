// SPDX-License-Identifier: GPL-3.0-or-later
//! `era copy`, also called as `era_copy`: a list of blocks and a device to a stream.

use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;
use jiff::Timestamp;
use uuid::Uuid;

use super::interrupt;
use crate::blockio::{MAX_DEPTH, ReadAt, Source};
use crate::blocklist;
use crate::copy::{copy, estimate, extents};
use crate::report::{Progress, When};
use crate::runs::BlockSet;
use crate::stream::{Consistency, Encode, EncoderV1, EncoderV2, Header, Kind};
use crate::sys::raw_stdout;
use crate::units::{BlockSize, Era};

const EXAMPLES: &str = "\
Examples:
  As ever; 1024 is the block size, the last number of `dmsetup table vm1`:
      era_invalidate --metadata-snapshot --written-since 12 /dev/vg/vm1-meta |
          era_copy 1024 /dev/mapper/vm1 > changes.era
  How much would it be? Prints `N bytes to copy`:
      era_copy 1024 < blocks.xml
  Checksummed and compressed, zero blocks left out:
      era copy --format 2 --compress 1 1024 /dev/mapper/vm1 < blocks.xml > c.era

Writes in flight while the list is made can be lost: freeze the filesystem, or
suspend and resume the device, around
`dmsetup message NAME 0 take_metadata_snap`.";

/// Copy the blocks of a list from a device to a stream
///
/// Reads a block list from stdin as era_invalidate or `era changed --format xml` prints it, and writes the stream
/// to stdout, for `era apply`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Show progress even where stderr is not a terminal
    #[arg(long)]
    progress: bool,

    /// Version of the stream: 1 is what the classic era_apply reads; 2 has checksums and leaves zeros out
    #[arg(long, value_enum, value_name = "VERSION", default_value = "1")]
    format: Format,

    /// Compress with zstd at this level, from 1 (fast) to 19 (small); needs --format 2
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(i32).range(1..=19))]
    compress: Option<i32>,

    /// Keep so many reads under way at a time [default: 32]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_DEPTH)))]
    pub(super) queue_depth: Option<u32>,

    /// Size of dm-era's blocks in sectors of 512 bytes
    block_size: BlockSize,

    /// Device or file to read; without it only the amount is printed
    device: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    #[value(name = "1")]
    V1,
    #[value(name = "2")]
    V2,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if args.compress.is_some() && args.format == Format::V1 {
        bail!("--compress needs --format 2: version 1 of the stream cannot be compressed");
    }
    // Opened before the list is read: a wrong name shows before anything else is waited for.
    let source = args.device.as_deref().map(open).transpose()?;
    let blocks = blocklist::read(BufReader::new(io::stdin().lock())).context("stdin")?;
    match (source, &args.device) {
        (Some(source), Some(path)) => copy_blocks(args, &source, path, &blocks),
        _ => writeln!(io::stdout(), "{} bytes to copy", estimate(&blocks, args.block_size))
            .context("cannot write to stdout"),
    }
}

fn open(path: &Path) -> anyhow::Result<Source> {
    Source::open(path).with_context(|| format!("{}: cannot open for reading", path.display()))
}

fn copy_blocks(args: &Args, source: &Source, path: &Path, blocks: &BlockSet) -> anyhow::Result<()> {
    interrupt::explain("the stream is incomplete; do not use it".into())?;
    let total = extents(blocks, args.block_size, source.size()).map(|extent| extent.len).sum();
    let progress = Progress::new(if args.progress { When::Always } else { When::OnTerminal }, Some(total));
    let stdout = raw_stdout();
    let mut encoder: Box<dyn Encode> = match args.format {
        Format::V1 => Box::new(EncoderV1::new(stdout)),
        Format::V2 => {
            let header = describe(args.block_size, source.size());
            let encoder = EncoderV2::new(stdout, &header, args.compress, Era(0));
            Box::new(encoder.context("cannot write the stream to stdout")?.in_parallel())
        }
    };
    copy(source, path, blocks, args.block_size, &mut *encoder, &progress)?;
    progress.finish();
    Ok(())
}

/// All that can be said of a device when only a list of blocks is known.
fn describe(block_size: BlockSize, device_bytes: u64) -> Header {
    Header {
        device: Uuid::nil(),
        generation: Uuid::nil(),
        device_bytes,
        block_bytes: block_size.bytes(),
        since: Era(0),
        kind: Kind::Increment,
        consistency: Consistency::Unknown,
        time: Timestamp::now(),
    }
}
