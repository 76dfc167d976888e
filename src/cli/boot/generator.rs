// SPDX-License-Identifier: GPL-3.0-or-later
//! The program called as `era-generator`, by systemd, early: units of /etc/eratab.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::boot::generator::{self, Generated, Place};
use crate::device::eratab;
use crate::report;

/// There in an initial ramdisk, and only there; systemd looks at it, too.
const INITRD: &str = "/etc/initrd-release";

/// The kernel's log, as no other one is there when generators run.
const LOG: &str = "/dev/kmsg";

/// Writes the units into the first of three directories, as systemd.generator(7) says.
pub(crate) fn generate(arguments: &[OsString]) -> anyhow::Result<()> {
    let [directory, ..] = arguments else {
        bail!(
            "usage: era-generator DIRECTORY [DIRECTORY DIRECTORY]; systemd calls this, see systemd.generator(7)"
        );
    };
    let table = eratab::read(Path::new(eratab::PATH))?;
    let program = std::env::current_exe().context("where is this program?")?;
    let place = Place { program, initrd: Path::new(INITRD).exists(), attach: super::attach()? };
    let generated = generator::generate(&table, &place);
    generated.warnings.iter().for_each(|warning| log(warning));
    write(Path::new(directory), &generated)
}

fn write(directory: &Path, generated: &Generated) -> anyhow::Result<()> {
    for (path, text) in &generated.files {
        let path = directory.join(path);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    for (path, target) in &generated.links {
        let path: PathBuf = directory.join(path);
        path.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| symlink(target, &path))
            .with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// As a warning. Who cannot write to the log says it where anybody may read it.
fn log(warning: &str) {
    let line = format!("<4>era: {warning}\n");
    let written =
        fs::File::options().write(true).open(LOG).and_then(|mut log| log.write_all(line.as_bytes()));
    if written.is_err() {
        report::warn(format_args!("{warning}"));
    }
}
