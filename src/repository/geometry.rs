// SPDX-License-Identifier: GPL-3.0-or-later
//! A device as a repository sees it: a row of units, each hashed, kept and restored as one.

use anyhow::bail;

use crate::runs::Run;
use crate::units::{Extent, MAX_BLOCKS, MAX_UNIT_BYTES};

/// How a device is divided up. The last unit ends where the device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Size of the device.
    pub device_bytes: u64,
    /// Size of a unit.
    pub unit_bytes: u64,
}

/// The unit for a block size: the block, or a part of it where that is large.
pub fn unit_bytes(block_bytes: u64) -> u64 {
    block_bytes.min(MAX_UNIT_BYTES)
}

impl Geometry {
    /// Checks that there are not too many units.
    pub fn new(device_bytes: u64, unit_bytes: u64) -> anyhow::Result<Self> {
        if !(1..=MAX_UNIT_BYTES).contains(&unit_bytes) {
            bail!("a unit has {unit_bytes} bytes, must have 1 to {MAX_UNIT_BYTES}");
        }
        if device_bytes.div_ceil(unit_bytes) > MAX_BLOCKS {
            bail!(
                "a device of {device_bytes} bytes in units of {unit_bytes} has more than {MAX_BLOCKS} units"
            );
        }
        Ok(Self { device_bytes, unit_bytes })
    }

    /// Number of units.
    pub fn units(&self) -> u64 {
        self.device_bytes.div_ceil(self.unit_bytes)
    }

    /// The bytes of a unit; empty beyond the device.
    pub fn extent(&self, unit: u64) -> Extent {
        let offset = (unit * self.unit_bytes).min(self.device_bytes);
        Extent { offset, len: self.unit_bytes.min(self.device_bytes - offset) }
    }

    /// The unit that holds a byte.
    pub fn unit_of(&self, offset: u64) -> u64 {
        offset / self.unit_bytes
    }

    /// The units that a range of bytes touches.
    pub fn touched(&self, extent: Extent) -> Run {
        Run { begin: self.unit_of(extent.offset), end: extent.end().div_ceil(self.unit_bytes) }
    }

    /// The units that are not the same in another size of the device: those that only one has, and the last one
    /// of the smaller where that is not whole.
    pub fn resized(&self, other: &Self) -> Run {
        let (small, large) =
            (self.device_bytes.min(other.device_bytes), self.device_bytes.max(other.device_bytes));
        if small == large {
            return Run { begin: 0, end: 0 };
        }
        Run { begin: small / self.unit_bytes, end: large.div_ceil(self.unit_bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_unit_ends_with_the_device() {
        let geometry = Geometry::new(10_000, 4096).unwrap();
        assert_eq!(geometry.units(), 3);
        assert_eq!(geometry.extent(0), Extent { offset: 0, len: 4096 });
        assert_eq!(geometry.extent(2), Extent { offset: 8192, len: 10_000 - 8192 });
        assert_eq!(geometry.extent(3).len, 0);
        assert_eq!(geometry.touched(Extent { offset: 4095, len: 2 }), Run { begin: 0, end: 2 });
        assert_eq!(geometry.touched(Extent { offset: 4096, len: 4096 }), Run { begin: 1, end: 2 });
    }

    #[test]
    fn what_a_new_size_changes() {
        let of = |bytes| Geometry::new(bytes, 4096).unwrap();
        let range = |a, b| (of(a).resized(&of(b)).begin, of(a).resized(&of(b)).end);
        assert_eq!(range(10_000, 10_000), (0, 0));
        assert_eq!(range(10_000, 12_288), (2, 3));
        assert_eq!(range(20_000, 10_000), (2, 5));
        assert_eq!(range(8192, 16_384), (2, 4));
    }

    #[test]
    fn units_are_bounded() {
        assert_eq!(unit_bytes(524_288), 524_288);
        assert_eq!(unit_bytes(64 << 20), MAX_UNIT_BYTES);
        assert!(Geometry::new(1 << 62, 4096).is_err());
        assert!(Geometry::new(1, 0).is_err());
    }
}
