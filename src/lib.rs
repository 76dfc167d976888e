// SPDX-License-Identifier: GPL-3.0-or-later
//! Incremental backups of raw block devices with dm-era, the kernel's device-mapper target that
//! remembers in which era each block was last written.
//!
//! # Module order
//!
//! A module uses only modules above it in this list:
//!
//! 1. [`sys`]: aligned and locked memory, the facts of an open block device, the ioctls of a cut, io_uring; the only place where
//!    `unsafe` may stand
//! 2. [`workers`]: threads that do jobs side by side and hand back the results in order
//! 3. [`units`]: eras, block sizes, byte ranges
//! 4. [`runs`]: sorted disjoint ranges of blocks, the core type
//! 5. [`blockio`]: reading and writing devices and files behind one small interface
//! 6. [`report`]: warnings, progress and numbers for people
//! 7. [`metadata`]: what dm-era wrote on its metadata device; which blocks changed since an era
//! 8. [`blocklist`]: the XML block lists of `era_invalidate`
//! 9. [`stream`]: the change streams, version 1 and 2
//! 10. [`copy`]: device to stream
//! 11. [`apply`]: stream to device or file
//! 12. [`device`]: tracked devices: their header and table, the stack they are made of, the cut, sending
//! 13. [`repository`]: mirrors with kept points in time: receiving, reading, giving back
//! 14. [`mount`]: the points of a repository as files, through FUSE
//! 15. `restic`: repositories of restic's format, on object stores and elsewhere; a Cargo feature
//! 16. [`remote`]: a backup between machines
//! 17. [`boot`]: what systemd and udev are told about tracked devices
//! 18. [`cli`]: the commands, thin: arguments to options, call the library, print

// Sizes and offsets from foreign bytes are converted with checks, never cut short.
#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)
)]

pub mod apply;
pub mod blockio;
pub mod blocklist;
pub mod boot;
pub mod cli;
pub mod copy;
pub mod device;
pub mod metadata;
pub mod mount;
pub mod remote;
pub mod report;
pub mod repository;
#[cfg(feature = "restic")]
pub mod restic;
pub mod runs;
pub mod stopping;
pub mod stream;
pub mod sys;
pub mod units;
pub mod workers;
