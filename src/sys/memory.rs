// SPDX-License-Identifier: GPL-3.0-or-later
//! Memory that stays in memory: a process that has the root filesystem suspended cannot wait for a page to be read.

use std::io;

use rustix::mm::{MlockAllFlags, mlockall, munlockall};

/// While this lives, no page of the process leaves memory, nor will one that is added.
#[derive(Debug)]
pub struct LockedMemory(());

impl LockedMemory {
    /// Reads in what is not in memory yet, and holds it.
    pub fn new() -> io::Result<Self> {
        mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)?;
        Ok(Self(()))
    }
}

impl Drop for LockedMemory {
    fn drop(&mut self) {
        // Fails never for a process that could lock.
        let _ = munlockall();
    }
}
