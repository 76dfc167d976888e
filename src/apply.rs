// SPDX-License-Identifier: GPL-3.0-or-later
//! From a stream to a device or an image file.
//!
//! The destination is changed while the stream arrives: it holds a mix of old and new until the end, and is right
//! only when [`apply`] returns without an error.

use std::io::Read;

use anyhow::{Context, bail};

use crate::blockio::{WriteAt, write_full};
use crate::report::{self, Progress};
use crate::stream::{self, Header, Kind, Summary, Version, Visitor};
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
    destination: &dyn WriteAt,
    options: Options,
    progress: &Progress,
) -> anyhow::Result<Summary> {
    let limit = (!destination.can_grow()).then(|| destination.size());
    let mut writer = Writer { destination, limit, progress };
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

struct Writer<'a> {
    destination: &'a dyn WriteAt,
    /// Where the destination ends for good.
    limit: Option<u64>,
    progress: &'a Progress,
}

impl Visitor for Writer<'_> {
    fn begin(&mut self, header: Option<&Header>) -> anyhow::Result<()> {
        let Some(header) = header else { return Ok(()) };
        if header.kind == Kind::Difference {
            bail!("the stream holds differences to what a repository has; era receive adds it to that");
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blockio::faulty::Faulty;
    use crate::blockio::{Piece, write_full};
    use crate::stream::{Consistency, Encode, EncoderV1, EncoderV2};
    use crate::units::Era;

    const SIZE: u64 = 1 << 20;

    /// A stream with data at 4096 and, where the version has them, zeros at 65536.
    fn stream(v2: bool, device_bytes: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let header = Header {
            device: uuid::Uuid::nil(),
            generation: uuid::Uuid::nil(),
            device_bytes,
            block_bytes: 4096,
            since: Era(0),
            kind: Kind::Increment,
            consistency: Consistency::None,
            time: jiff::Timestamp::UNIX_EPOCH,
        };
        let mut encoder: Box<dyn Encode> = if v2 {
            Box::new(EncoderV2::new(&mut bytes, &header, None, Era(0)).unwrap())
        } else {
            Box::new(EncoderV1::new(&mut bytes))
        };
        for (offset, byte) in [(4096, 7), (65536, 0)] {
            let extent = Extent { offset, len: 4096 };
            encoder.piece(&Piece { extent, offset, bytes: &[byte; 4096] }).unwrap();
        }
        encoder.finish().unwrap();
        drop(encoder);
        bytes
    }

    fn try_apply(stream: &[u8], device: &Faulty) -> Result<Summary, String> {
        apply(stream, device, Options::default(), &Progress::hidden()).map_err(|e| format!("{e:#}"))
    }

    #[test]
    fn data_and_zeros_arrive_through_short_and_interrupted_writes() {
        for v2 in [false, true] {
            let mut device = Faulty::new(SIZE, 1);
            device.short = Some(1000);
            device.interrupt_every = Some(4);
            // The range of zeros is one call in version 2, which the device would cut short.
            device.short = device.short.filter(|_| !v2);
            try_apply(&stream(v2, SIZE), &device).unwrap();
            let mut expected = vec![0xee; SIZE as usize];
            expected[4096..8192].fill(7);
            expected[65536..69632].fill(0);
            assert!(*device.written.borrow() == expected);
        }
    }

    #[test]
    fn a_failed_write_or_sync_is_an_error() {
        for v2 in [false, true] {
            let mut device = Faulty::new(SIZE, 1);
            device.bad = Some(Extent { offset: 5000, len: 1 });
            assert!(try_apply(&stream(v2, SIZE), &device).unwrap_err().contains("at offset 4096: "));
            device.bad = Some(Extent { offset: 66_000, len: 1 });
            assert!(try_apply(&stream(v2, SIZE), &device).unwrap_err().contains("at offset 65536: "));
            device.bad = None;
            device.bad_sync = true;
            assert!(
                try_apply(&stream(v2, SIZE), &device)
                    .unwrap_err()
                    .starts_with("cannot make the data durable")
            );
            device.bad_sync = false;
            device.stuck = true;
            assert!(try_apply(&stream(v2, SIZE), &device).is_err());
        }
    }

    #[test]
    fn nothing_is_written_to_a_device_that_is_too_small() {
        let untouched = vec![0xee; 8000];
        for v2 in [false, true] {
            let device = Faulty::new(8000, 1);
            let message = try_apply(&stream(v2, SIZE), &device).unwrap_err();
            assert!(message.contains("8000 bytes"), "{message}");
            assert!(*device.written.borrow() == untouched);
        }
    }

    #[test]
    fn a_larger_device_is_fine() {
        let device = Faulty::new(SIZE + 512, 1);
        write_full(&device, &[1; 512], SIZE).unwrap();
        try_apply(&stream(true, SIZE), &device).unwrap();
        assert_eq!(device.written.borrow()[SIZE as usize..], [1; 512]);
    }
}
