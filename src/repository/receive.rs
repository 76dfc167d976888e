// SPDX-License-Identifier: GPL-3.0-or-later
//! A stream goes into a repository, as one new point, wholly or not at all.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};

use super::admit::admit;
use super::assemble::Assembler;
use super::manifest::Point;
use super::open::Repository;
use super::receiver::Receiver;
use crate::report::{self, Progress};
use crate::stream::{self, AUDIT, Audit, BASE, Header, Kind, Visitor};
use crate::units::Extent;

/// Reads a stream of version 2 and makes it a point. The note is kept with it.
pub fn receive(
    path: &Path,
    input: impl Read,
    note: Option<&str>,
    progress: &Progress,
) -> anyhow::Result<Point> {
    let mut receiving = Receiving { path, progress, work: None };
    let read = stream::read(input, &mut receiving);
    let name = || path.display().to_string();
    // Nothing was changed where there was no header that would do.
    let Some(mut work) = receiving.work else {
        read.with_context(name)?;
        bail!("{}: the stream is empty", name());
    };
    let result = read.and_then(|summary| {
        let (_, trailer) = summary.frame.as_ref().context("the stream has no trailer")?;
        work.assembler.close(&mut work.receiver)?;
        if work.header.kind == Kind::Full && work.covered_to < work.header.device_bytes {
            bail!("the stream says that it is full, but leaves byte {} of the device out", work.covered_to);
        }
        work.receiver.commit(&work.header, trailer, summary.stream_bytes, note)
    });
    result.with_context(name).inspect_err(|_| {
        // If that fails as well, whoever comes next does it. The first error is the one to tell of.
        if let Err(e) = work.receiver.abandon().recover() {
            report::warn(format_args!("{}: cannot undo what was begun: {e:#}", name()));
        }
    })
}

struct Receiving<'a> {
    path: &'a Path,
    progress: &'a Progress,
    work: Option<Work>,
}

/// What there is from the header on.
struct Work {
    header: Header,
    assembler: Assembler,
    receiver: Receiver,
    /// The stream has had all bytes before this one.
    covered_to: u64,
}

impl Receiving<'_> {
    fn take(&mut self, extent: Extent, bytes: Option<&[u8]>) -> anyhow::Result<()> {
        let work = self.work.as_mut().context("the stream has no header")?;
        // A full stream begins with all that there is, in its order; what changed meanwhile comes after that.
        if extent.offset <= work.covered_to {
            work.covered_to = work.covered_to.max(extent.end());
        }
        work.assembler.take(extent, bytes, &mut work.receiver)?;
        self.progress.advance(extent.len);
        Ok(())
    }
}

impl Visitor for Receiving<'_> {
    fn begin(&mut self, header: Option<&Header>) -> anyhow::Result<()> {
        let Some(header) = header else {
            bail!(
                "the stream is empty, or of version 1, which does not say of which device it is; use era apply for it"
            );
        };
        // Before anything is made; and again with the lock, as it may have changed until then.
        admit(super::manifest::Manifest::read(self.path)?.as_ref(), header)?;
        let repository = Repository::open_or_create(self.path)?;
        let manifest = repository.manifest()?;
        admit(manifest.as_ref(), header)?;
        let receiver = Receiver::begin(repository, manifest, header)?;
        let assembler = Assembler::new(receiver.geometry());
        self.work = Some(Work { header: header.clone(), assembler, receiver, covered_to: 0 });
        Ok(())
    }

    fn optional(&mut self, kind: u32, payload: &[u8]) -> anyhow::Result<()> {
        match (kind, &mut self.work) {
            (BASE, Some(work)) => work.receiver.compared_with(payload),
            (AUDIT, Some(work)) => {
                work.receiver.audited(Audit::unpack(payload)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn data(&mut self, offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
        self.take(Extent { offset, len: bytes.len() as u64 }, Some(bytes))
    }

    fn zeros(&mut self, extent: Extent) -> anyhow::Result<()> {
        self.take(extent, None)
    }
}
