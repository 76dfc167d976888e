// SPDX-License-Identifier: GPL-3.0-or-later
//! `era changed`: which blocks changed since an era.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;
use rustix::io::Errno;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::blockio::Source;
use crate::blocklist;
use crate::copy;
use crate::device::cursor::{BadCursor, Cursor};
use crate::device::dm::Dm;
use crate::device::eratab::Name;
use crate::device::metadata_snapshot;
use crate::device::tracked::Tracked;
use crate::metadata::{Changed, View, changed_since};
use crate::runs::BlockSet;
use crate::sys::raw_stdout;
use crate::units::Era;

const EXAMPLES: &str = "\
Examples:
  A device in use:
      era changed vm1 --since 12
  The same in steps, from a metadata snapshot that was taken before:
      dmsetup message vm1 0 take_metadata_snap
      era changed --metadata /dev/vg/vm1-meta --metadata-snapshot --since 12
      dmsetup message vm1 0 drop_metadata_snap
  A device that is not active, or a copy of its metadata in a file:
      era changed --metadata meta.img --since 12 --total

Formats: `runs` prints a line `BEGIN END` for each run of blocks, END being the
block after the last one; `xml` is what era_invalidate prints; `json` is one
object.

The era to ask for next time is printed with --total and with --format json.
Never take it from `dmsetup status` after the copy: what was written in an era
that ended in between would be lost.

With --metadata, what a data device that has grown held in its new part is not
listed: only NAME knows.

Exit status: 0 done; 1 the metadata are younger than ERA, a full copy is needed;
2 an error.";

/// List the blocks written since an era
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Active device; a metadata snapshot is taken, read and dropped
    #[arg(required_unless_present = "metadata", conflicts_with = "metadata")]
    name: Option<Name>,

    /// Metadata device of dm-era, or a file with its contents, in place of NAME
    #[arg(long, value_name = "DEVICE")]
    metadata: Option<PathBuf>,

    /// List blocks written in this era or later, or since a cursor; 0 lists all blocks
    #[arg(long, value_name = "ERA|CURSOR")]
    since: Since,

    /// With --metadata: read the metadata snapshot of an active device
    #[arg(long, requires = "metadata")]
    metadata_snapshot: bool,

    /// What to print
    #[arg(long, value_enum, default_value = "runs")]
    format: Format,

    /// Print only how much changed, not which blocks
    #[arg(long)]
    total: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Runs,
    Xml,
    Json,
}

/// Where to begin.
#[derive(Clone, Copy, Debug)]
enum Since {
    Era(Era),
    Cursor(Cursor),
}

impl FromStr for Since {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        text.parse().map(Since::Era).or_else(|_| text.parse().map(Since::Cursor))
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let changed = match (&args.name, &args.metadata) {
        (Some(name), _) => ask_device(name, args.since)?,
        (None, Some(metadata)) => ask(args, metadata).with_context(|| metadata.display().to_string())?,
        (None, None) => bail!("NAME or --metadata is needed"),
    };
    let mut out = BufWriter::new(raw_stdout());
    print(&mut out, &changed, args).and_then(|()| out.flush()).context("cannot write to stdout")
}

fn ask_device(name: &Name, since: Since) -> anyhow::Result<Changed> {
    let dm = Dm::open()?;
    let tracked = Tracked::find(&dm, name)?;
    let since = match since {
        Since::Era(era) => era,
        Since::Cursor(cursor) => cursor.era_in(tracked.generation).with_context(|| name.to_string())?,
    };
    metadata_snapshot::changed(&dm, &tracked, since)
}

fn ask(args: &Args, metadata: &Path) -> anyhow::Result<Changed> {
    let Since::Era(since) = args.since else {
        bail!("metadata without a device do not know their generation; ask with an era, or name the device");
    };
    let view = if args.metadata_snapshot { View::Snapshot } else { View::Offline };
    let source = Source::open_metadata(metadata, view == View::Offline).map_err(|e| {
        match Errno::from_io_error(&e) {
            Some(Errno::BUSY) => anyhow!(
                "the device is in use; read an active device's metadata with --metadata-snapshot, \
                 after: dmsetup message NAME 0 take_metadata_snap"
            ),
            _ => anyhow::Error::from(e).context("cannot open"),
        }
    })?;
    Ok(changed_since(&source, view, since)?)
}

fn print(out: &mut impl Write, changed: &Changed, args: &Args) -> io::Result<()> {
    match (args.format, args.total) {
        (Format::Json, total) => {
            serde_json::to_writer(&mut *out, &Answer::new(changed, !total))?;
            writeln!(out)
        }
        (Format::Runs | Format::Xml, true) => print_total(out, &Answer::new(changed, false)),
        (Format::Runs, false) => {
            changed.blocks.runs().try_for_each(|run| writeln!(out, "{} {}", run.begin, run.end))
        }
        (Format::Xml, false) => blocklist::write(out, changed.blocks.runs()),
    }
}

fn print_total(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    writeln!(
        out,
        "{} of {} blocks, {} bytes, written since era {}; next time ask for era {}",
        answer.changed_blocks, answer.blocks, answer.changed_bytes, answer.since_era, answer.next_since_era
    )
}

/// The answer as JSON. `runs` are pairs of a first block and the block after the last one.
#[derive(Serialize)]
struct Answer<'a> {
    block_size_bytes: u64,
    blocks: u32,
    current_era: Era,
    since_era: Era,
    next_since_era: Era,
    changed_blocks: u64,
    changed_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_runs")]
    runs: Option<&'a BlockSet>,
}

impl<'a> Answer<'a> {
    fn new(changed: &'a Changed, with_runs: bool) -> Self {
        let superblock = &changed.superblock;
        Self {
            block_size_bytes: superblock.block_size.bytes(),
            blocks: superblock.nr_blocks,
            current_era: superblock.current_era,
            since_era: changed.since,
            next_since_era: changed.next_since(),
            changed_blocks: changed.blocks.len(),
            // Whole blocks, as the metadata do not know where in its last block the device ends.
            changed_bytes: u64::try_from(copy::estimate(&changed.blocks, superblock.block_size))
                .unwrap_or(u64::MAX),
            runs: with_runs.then_some(&changed.blocks),
        }
    }
}

/// Streams the runs: a list of them could be far larger than the set.
fn serialize_runs<S: Serializer>(blocks: &Option<&BlockSet>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut sequence = serializer.serialize_seq(None)?;
    for run in blocks.iter().flat_map(|blocks| blocks.runs()) {
        sequence.serialize_element(&[run.begin, run.end])?;
    }
    sequence.end()
}
