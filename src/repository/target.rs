// SPDX-License-Identifier: GPL-3.0-or-later
//! What a point is written to: a device that nobody else uses, or a file, which gets holes where the point has zeros.
//!
//! Whoever reads the point hands over what it holds, in the order of the device.

use anyhow::{Context, bail};

use crate::blockio::{WriteAt, write_full};
use crate::report;
use crate::units::Extent;

/// What was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Bytes that were written.
    pub data_bytes: u64,
    /// Bytes that are zeros, and took no space in a file.
    pub zero_bytes: u64,
}

/// A target that is being written.
pub struct Target<'a> {
    target: &'a dyn WriteAt,
    /// Whether zeros are there already.
    blank: bool,
    /// Zeros that are to be made, together with those that follow.
    zeros: Option<Extent>,
    restored: Restored,
}

impl<'a> Target<'a> {
    /// Begins with a target that has room for the device. In one that is `blank`, as a new file is, zeros are there already.
    pub fn begin(target: &'a dyn WriteAt, blank: bool, device_bytes: u64) -> anyhow::Result<Self> {
        let has = target.size();
        if target.can_grow() {
            target.grow(device_bytes).context("cannot make the file as large as the device")?;
        } else if has < device_bytes {
            bail!("the target has {has} bytes, the device of the point {device_bytes}: nothing was written");
        } else if has > device_bytes {
            report::warn(format_args!(
                "the target has {has} bytes, the device of the point only {device_bytes}: the rest stays as it is"
            ));
        }
        Ok(Self { target, blank, zeros: None, restored: Restored::default() })
    }

    /// Bytes that belong at an offset.
    pub fn bytes(&mut self, offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
        let len = bytes.len();
        write_full(self.target, bytes, offset)
            .with_context(|| format!("cannot write {len} bytes at offset {offset}"))?;
        self.restored.data_bytes += len as u64;
        Ok(())
    }

    /// Zeros.
    pub fn zeros(&mut self, extent: Extent) -> anyhow::Result<()> {
        self.restored.zero_bytes += extent.len;
        match &mut self.zeros {
            Some(run) if run.end() == extent.offset => run.len += extent.len,
            _ => {
                let before = self.zeros.replace(extent);
                self.make_zeros(before)?;
            }
        }
        Ok(())
    }

    /// Returns when all is durable.
    pub fn finish(mut self) -> anyhow::Result<Restored> {
        let last = self.zeros.take();
        self.make_zeros(last)?;
        self.target.sync().context("cannot make the data durable")?;
        Ok(self.restored)
    }

    fn make_zeros(&self, extent: Option<Extent>) -> anyhow::Result<()> {
        match extent.filter(|_| !self.blank) {
            None => Ok(()),
            Some(extent) => self
                .target
                .zero(extent)
                .with_context(|| format!("cannot zero {} bytes at offset {}", extent.len, extent.offset)),
        }
    }
}
