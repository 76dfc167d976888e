// SPDX-License-Identifier: GPL-3.0-or-later
//! The `era` program; called as `era_copy` or `era_apply` it takes their place.

use std::process::ExitCode;

fn main() -> ExitCode {
    era::cli::run(std::env::args_os())
}
