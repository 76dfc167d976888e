// SPDX-License-Identifier: GPL-3.0-or-later
//! The program that the initial ramdisk carries: era without restic repositories. `make test` builds it and says where it is. Without that
//! the one with everything does; it takes twice as long to start on a machine as slow as User-Mode Linux.

use std::path::PathBuf;

/// Where it is.
pub fn boot_program() -> PathBuf {
    std::env::var_os("ERA_TEST_BOOT_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_era").into(), PathBuf::from)
}
