// SPDX-License-Identifier: GPL-3.0-or-later
//! Programs of the distribution that make what was changed take effect.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

/// Whether a system has a program where system programs are.
pub(super) fn is_there(root: &Path, program: &str) -> bool {
    ["usr/sbin", "usr/bin", "sbin", "bin"].iter().any(|directory| root.join(directory).join(program).exists())
}

/// A command as it is recorded.
pub(super) fn words(program: &str, arguments: &[&str]) -> Vec<String> {
    [program].iter().chain(arguments).map(|&word| word.into()).collect()
}

/// Runs one to its end.
pub(super) fn run(command: &[String]) -> anyhow::Result<()> {
    let text = command.join(" ");
    let [program, arguments @ ..] = command else { return Ok(()) };
    let status = Command::new(program).args(arguments).status().with_context(|| text.clone())?;
    if !status.success() {
        bail!("{text}: {status}");
    }
    Ok(())
}
