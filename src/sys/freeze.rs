// SPDX-License-Identifier: GPL-3.0-or-later
//! Freezing filesystems: FIFREEZE and FITHAW of <linux/fs.h>, on descriptors that are open already, as opening one can
//! block while its filesystem is frozen.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsFd;

use rustix::ioctl::{NoArg, Opcode, ioctl, opcode};

const FIFREEZE: Opcode = opcode::read_write::<i32>(b'X', 119);
const FITHAW: Opcode = opcode::read_write::<i32>(b'X', 120);

/// Writes out what the filesystem holds and lets nobody write to it until it is thawed.
pub fn freeze(filesystem: impl AsFd) -> io::Result<()> {
    // SAFETY: the kernel does not look at the argument.
    Ok(unsafe { ioctl(filesystem, NoArg::<FIFREEZE>::new()) }?)
}

/// Ends a freeze; EINVAL where there is none.
pub fn thaw(filesystem: impl AsFd) -> io::Result<()> {
    // SAFETY: as above.
    Ok(unsafe { ioctl(filesystem, NoArg::<FITHAW>::new()) }?)
}
