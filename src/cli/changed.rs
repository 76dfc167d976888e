// SPDX-License-Identifier: GPL-3.0-or-later
//! `era changed`: which blocks changed since an era, as a list or as a picture.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, anyhow, bail};
use clap::{ColorChoice, ValueEnum};
use rustix::io::Errno;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use super::map::{self, Grid};
use crate::blockio::{ReadAt, Source};
use crate::blocklist;
use crate::copy;
use crate::device::cursor::{BadCursor, Cursor};
use crate::device::dm::Dm;
use crate::device::eratab::Name;
use crate::device::metadata_snapshot;
use crate::device::tracked::Tracked;
use crate::metadata::{Changed, ChangedError, View, changed_since, last_written};
use crate::report::terminal::Terminal;
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
  A picture of the whole device, by when it was written last:
      era changed vm1 --map

Formats: `runs` prints a line `BEGIN END` for each run of blocks, END being the
block after the last one; `xml` is what era_invalidate prints; `json` is one
object.

The map has a character for some blocks: how long ago, in eras, the newest write
to them was. It fits the terminal, or 80 columns where there is none. Colours are
used on a terminal, unless NO_COLOR is set; --color always or never decides it.

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
    #[arg(long, value_name = "ERA|CURSOR", required_unless_present = "map")]
    since: Option<Since>,

    /// With --metadata: read the metadata snapshot of an active device
    #[arg(long, requires = "metadata")]
    metadata_snapshot: bool,

    /// What to print
    #[arg(long, value_enum, default_value = "runs")]
    format: Format,

    /// Print only how much changed, not which blocks
    #[arg(long)]
    total: bool,

    /// Draw the device: where it was written, and how long ago, in eras
    #[arg(long, conflicts_with_all = ["format", "total"])]
    map: bool,

    /// With --map: use colours
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto", requires = "map")]
    color: ColorChoice,
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
    let mut out = BufWriter::new(raw_stdout());
    let result = if args.map {
        out.write_all(map(args)?.as_bytes())
    } else {
        print(&mut out, &ask(args, metadata_snapshot::changed, changed_since)?, args)
    };
    result.and_then(|()| out.flush()).context("cannot write to stdout")
}

fn map(args: &Args) -> anyhow::Result<String> {
    let colour = match args.color {
        ColorChoice::Auto => None,
        ColorChoice::Always => Some(true),
        ColorChoice::Never => Some(false),
    };
    let terminal = Terminal::stdout(colour);
    let grid = Grid::of(&terminal);
    let cells = grid.cells();
    let written = ask(
        args,
        |dm, tracked, since| metadata_snapshot::last_written(dm, tracked, since, cells),
        |source, view, since| last_written(source, view, since, cells),
    )?;
    let name = match (&args.name, &args.metadata) {
        (Some(name), _) => name.to_string(),
        (None, metadata) => metadata.iter().map(|path| path.display().to_string()).collect(),
    };
    Ok(map::draw(&name, &written, grid, &terminal))
}

/// Asks an active device or metadata, whichever was named.
fn ask<T>(
    args: &Args,
    of_device: impl Fn(&Dm, &Tracked, Era) -> anyhow::Result<T>,
    of_metadata: impl Fn(&dyn ReadAt, View, Era) -> Result<T, ChangedError>,
) -> anyhow::Result<T> {
    // Only the map does without.
    let since = args.since.unwrap_or(Since::Era(Era(0)));
    match (&args.name, &args.metadata) {
        (Some(name), _) => {
            let dm = Dm::open()?;
            let tracked = Tracked::find(&dm, name)?;
            let since = match since {
                Since::Era(era) => era,
                Since::Cursor(cursor) => {
                    cursor.era_in(tracked.generation).with_context(|| name.to_string())?
                }
            };
            of_device(&dm, &tracked, since)
        }
        (None, Some(metadata)) => {
            let view = if args.metadata_snapshot { View::Snapshot } else { View::Offline };
            open(metadata, view, since)
                .and_then(|(source, since)| Ok(of_metadata(&source, view, since)?))
                .with_context(|| metadata.display().to_string())
        }
        (None, None) => bail!("NAME or --metadata is needed"),
    }
}

fn open(metadata: &Path, view: View, since: Since) -> anyhow::Result<(Source, Era)> {
    let Since::Era(since) = since else {
        bail!("metadata without a device do not know their generation; ask with an era, or name the device");
    };
    let source = Source::open_metadata(metadata, view == View::Offline).map_err(|e| {
        match Errno::from_io_error(&e) {
            Some(Errno::BUSY) => anyhow!(
                "the device is in use; read an active device's metadata with --metadata-snapshot, \
                 after: dmsetup message NAME 0 take_metadata_snap"
            ),
            _ => anyhow::Error::from(e).context("cannot open"),
        }
    })?;
    Ok((source, since))
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
