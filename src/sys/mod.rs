// SPDX-License-Identifier: GPL-3.0-or-later
//! The operating system, as narrow as it can be: aligned and locked memory, the facts of an open block device, the
//! ioctls that hold a device or a filesystem still, io_uring, the system's log.
//!
//! The crate denies `unsafe`; where it cannot be avoided it stands in this module, each block with its
//! `SAFETY` line.

mod alarm;
mod aligned;
mod block_device;
mod dm_control;
mod freeze;
mod huge;
mod inherited;
mod memory;
mod pipe;
mod ring;
mod stdio;
mod syslog;
mod writeback;

pub use alarm::interrupt_on_alarm;
pub use aligned::{AlignedBuf, AlignedBufs};
pub use block_device::{
    DeviceKind, Opened, open_both, open_buffered, open_destination, open_metadata, open_source,
    refuses_direct,
};
pub use dm_control::{DmControl, DmRequest};
pub use freeze::{freeze, thaw};
pub use inherited::adopt;
pub use memory::LockedMemory;
pub use ring::{Completion, Direction, Ring};
pub use stdio::{RawStdout, raw_stdin, raw_stdout};
pub use syslog::log_refusal;
pub use writeback::begin_writeback;
