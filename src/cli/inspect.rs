// SPDX-License-Identifier: GPL-3.0-or-later
//! `era inspect`: what a stream holds, every byte of it checked.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;

use super::print_json;
use crate::device::cursor::Cursor;
use crate::report;
use crate::stream::{self, Header, Summary, Version, Visitor};
use crate::sys::raw_stdin;
use crate::units::Extent;

const EXAMPLES: &str = "\
Examples:
  era inspect changes.era
  era inspect --json - < changes.era

A stream of version 1 has no checksums: only its structure can be checked.

Exit status: 0 the stream is sound; 2 it is not, with the place where it is damaged.";

/// Say what a stream holds and check every byte of it
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// Stream to read; - is stdin
    file: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let summary = read(&args.file).with_context(|| args.file.display().to_string())?;
    let report = Report::new(&summary);
    if args.json {
        print_json(&report)
    } else {
        report.print(&mut io::stdout().lock()).context("cannot write to stdout")
    }
}

fn read(path: &Path) -> anyhow::Result<Summary> {
    if path == Path::new("-") {
        stream::read(raw_stdin(), &mut Nothing)
    } else {
        stream::read(File::open(path).context("cannot open")?, &mut Nothing)
    }
}

/// Does nothing with the contents: reading them is the check.
struct Nothing;

impl Visitor for Nothing {
    fn begin(&mut self, _header: Option<&Header>) -> anyhow::Result<()> {
        Ok(())
    }

    fn data(&mut self, _offset: u64, _bytes: &[u8]) -> anyhow::Result<()> {
        Ok(())
    }

    fn zeros(&mut self, _extent: Extent) -> anyhow::Result<()> {
        Ok(())
    }
}

/// What is printed; absent fields are not known.
#[derive(Serialize)]
struct Report {
    version: Version,
    /// Whether the stream says that it is complete.
    complete: bool,
    records: u64,
    data_bytes: u64,
    zero_bytes: u64,
    stream_bytes: u64,
    #[serde(flatten)]
    description: Option<Description>,
}

#[derive(Serialize)]
struct Description {
    kind: stream::Kind,
    consistency: stream::Consistency,
    time: String,
    device: Option<uuid::Uuid>,
    generation: Option<uuid::Uuid>,
    device_bytes: u64,
    block_size_bytes: u64,
    since_era: Option<u32>,
    next_since_era: Option<u32>,
    /// What to give to `era send --since` next time.
    next_cursor: Option<String>,
    passes: Option<u32>,
    /// The longest time for which writes were held back.
    freeze_nanoseconds: Option<u64>,
}

impl Report {
    fn new(summary: &Summary) -> Self {
        Self {
            version: summary.version,
            complete: summary.ended,
            records: summary.records,
            data_bytes: summary.data_bytes,
            zero_bytes: summary.zero_bytes,
            stream_bytes: summary.stream_bytes,
            description: summary.frame.as_ref().map(|(header, trailer)| Description {
                kind: header.kind,
                consistency: header.consistency,
                time: header.time.to_string(),
                device: Some(header.device).filter(|id| !id.is_nil()),
                generation: Some(header.generation).filter(|id| !id.is_nil()),
                device_bytes: header.device_bytes,
                block_size_bytes: header.block_bytes,
                since_era: Some(header.since.0).filter(|&era| era != 0),
                next_since_era: Some(trailer.next.0).filter(|&era| era != 0),
                next_cursor: Some(Cursor { generation: header.generation, era: trailer.next })
                    .filter(|cursor| cursor.era.0 != 0 && !cursor.generation.is_nil())
                    .map(|cursor| cursor.to_string()),
                passes: Some(trailer.passes).filter(|&passes| passes != 0),
                freeze_nanoseconds: Some(trailer.freeze_nanoseconds).filter(|_| trailer.passes != 0),
            }),
        }
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let mut line = |name: &str, value: String| writeln!(out, "{:<14}{value}", format!("{name}:"));
        match self.version {
            Version::Empty => line("format", "an empty stream".into())?,
            version => line("format", format!("version {}", u8::from(version)))?,
        }
        if let Some(description) = &self.description {
            let era = |era: Option<u32>| era.map_or("not known".into(), |era| era.to_string());
            let id = |id: Option<uuid::Uuid>| id.map_or("not known".into(), |id| id.to_string());
            line("kind", format!("{:?}", description.kind).to_lowercase())?;
            line("consistency", format!("{:?}", description.consistency).to_lowercase())?;
            line("made", description.time.clone())?;
            line("device", id(description.device))?;
            line("generation", id(description.generation))?;
            line("device size", report::size(description.device_bytes).to_string())?;
            line("block size", report::size(description.block_size_bytes).to_string())?;
            line("since era", era(description.since_era))?;
            line("next era", era(description.next_since_era))?;
            if let Some(cursor) = &description.next_cursor {
                line("next cursor", cursor.clone())?;
            }
            if let (Some(passes), Some(held)) = (description.passes, description.freeze_nanoseconds) {
                let held = std::time::Duration::from_nanos(held);
                line("passes", passes.to_string())?;
                line("writes held", format!("{:.1} ms", held.as_secs_f64() * 1000.0))?;
            }
        }
        line("records", self.records.to_string())?;
        line("data", format!("{} ({} bytes)", report::size(self.data_bytes), self.data_bytes))?;
        line("zeros", format!("{} ({} bytes)", report::size(self.zero_bytes), self.zero_bytes))?;
        line("stream", format!("{} ({} bytes)", report::size(self.stream_bytes), self.stream_bytes))?;
        line("complete", if self.complete { "yes" } else { "cannot be known: there is no end marker" }.into())
    }
}
