// SPDX-License-Identifier: GPL-3.0-or-later
//! From a stream to a device or an image file.
//!
//! The destination is changed while the stream arrives: it holds a mix of old and new until the end, and is right
//! only when [`apply`] returns without an error.

use std::io::Read;

use anyhow::{Context, bail};

use crate::blockio::{Destination, WriteAt, write_full};
use crate::report::{self, Progress};
use crate::stream::{self, Header, Summary, Version, Visitor};
use crate::sys::DeviceKind;
use crate::units::Extent;

/// How to take a stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether a stream that does not say that it is complete is an error.
    pub require_end: bool,
}

/// Applies a whole stream and makes it durable.
pub fn apply(
    input: impl Read,
    destination: &Destination,
    options: Options,
    progress: &Progress,
) -> anyhow::Result<Summary> {
    let mut writer = Writer { destination, limit: limit(destination), progress };
    let summary = stream::read(input, &mut writer)?;
    if !summary.ended {
        let what = match summary.version {
            Version::Empty => "the stream is empty",
            _ => "the stream has no end marker, as those of the classic era_copy",
        };
        if options.require_end {
            bail!("{what}: it cannot be known whether it is complete");
        }
        report::warn(format_args!("{what}: whether it was complete cannot be known"));
    }
    destination.sync().context("cannot make the data durable")?;
    Ok(summary)
}

/// A block device has a fixed size; a file grows.
fn limit(destination: &Destination) -> Option<u64> {
    (destination.kind() == DeviceKind::Block).then(|| destination.size())
}

struct Writer<'a> {
    destination: &'a Destination,
    /// Where the destination ends for good.
    limit: Option<u64>,
    progress: &'a Progress,
}

impl Visitor for Writer<'_> {
    fn begin(&mut self, header: Option<&Header>) -> anyhow::Result<()> {
        let Some(header) = header else { return Ok(()) };
        let (source, destination) = (header.device_bytes, self.destination.size());
        match self.limit {
            Some(limit) if limit < source => bail!(
                "the destination has {limit} bytes, the device of the stream {source}: nothing was written"
            ),
            Some(_) => {}
            None if destination < source => {
                self.destination.grow(source).context("cannot make the file as large as the device")?;
            }
            None if destination > source => report::warn(format_args!(
                "the file has {destination} bytes, the device of the stream only {source}: the rest stays as it is"
            )),
            None => {}
        }
        Ok(())
    }

    fn record(&mut self, extent: Extent) -> anyhow::Result<()> {
        match self.limit {
            Some(limit) if limit < extent.end() => bail!(
                "the stream has {} bytes for offset {}, but the destination has only {limit} bytes",
                extent.len,
                extent.offset
            ),
            _ => Ok(()),
        }
    }

    fn data(&mut self, offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
        write_full(self.destination, bytes, offset)
            .with_context(|| format!("cannot write {} bytes at offset {offset}", bytes.len()))?;
        self.progress.advance(bytes.len() as u64);
        Ok(())
    }

    fn zeros(&mut self, extent: Extent) -> anyhow::Result<()> {
        self.destination
            .zero(extent)
            .with_context(|| format!("cannot zero {} bytes at offset {}", extent.len, extent.offset))
    }
}
