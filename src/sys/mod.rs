// SPDX-License-Identifier: GPL-3.0-or-later
//! The operating system, as narrow as it can be: aligned memory and the facts of an open block device.
//!
//! The crate denies `unsafe`; where it cannot be avoided it stands in this module, each block with its
//! `SAFETY` line. At present everything needed has a safe wrapper in `rustix`.

mod aligned;
mod block_device;
mod stdio;

pub use aligned::AlignedBuf;
pub use block_device::{DeviceKind, Opened, open_destination, open_metadata, open_source, refuses_direct};
pub use stdio::raw_stdout;
