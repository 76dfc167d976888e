// SPDX-License-Identifier: GPL-3.0-or-later
//! `make install`: everything is where it is looked for, and systemd takes the units for what they are.

#[path = "common/boot_program.rs"]
mod boot_program;
#[path = "common/installed.rs"]
mod installed;
#[path = "common/oracle_program.rs"]
mod oracle_program;

use std::path::{Path, PathBuf};
use std::process::Command;

/// Installs the program under test for good below a directory, as `make install` without DESTDIR does; returns where to.
fn install(dir: &Path) -> PathBuf {
    let prefix = dir.join("prefix");
    installed::make(&installed::project(dir), &["install", &format!("PREFIX={}", prefix.display())]);
    prefix
}

#[test]
fn everything_is_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let prefix = install(dir.path());
    for name in [
        "bin/era",
        "bin/era_copy",
        "bin/era_apply",
        "lib/era/era-boot",
        "lib/udev/rules.d/60-era.rules",
        "lib/udev/rules.d/61-era.rules",
        "lib/systemd/system-generators/era-generator",
        "lib/systemd/system-shutdown/era-shutdown",
        "share/initramfs-tools/hooks/era",
        "share/initramfs-tools/scripts/local-top/era",
        "lib/dracut/modules.d/90era/module-setup.sh",
        "lib/dracut/modules.d/90era/era-open.sh",
        "lib/dracut/modules.d/90era/era-parse.sh",
        "share/man/man5/eratab.5",
        "share/man/man5/era-backup.5",
        "share/man/man5/era-repository.5",
        "share/man/man5/era-stream.5",
        "share/man/man8/era.8",
        "share/man/man8/era-create.8",
        "share/bash-completion/completions/era",
        "share/zsh/site-functions/_era",
        "share/fish/vendor_completions.d/era.fish",
        "share/doc/era/backup-example.toml",
        "lib/systemd/system/era-backup@.service",
        "lib/systemd/system/era-backup@.timer",
    ] {
        assert!(prefix.join(name).is_file(), "{name}");
    }
    let unit = std::fs::read_to_string(prefix.join("lib/systemd/system/era-backup@.service")).unwrap();
    let rule = std::fs::read_to_string(prefix.join("lib/udev/rules.d/61-era.rules")).unwrap();
    assert!(rule.contains(&format!("{}/bin/era udev-links", prefix.display())), "{rule}");
    let start = format!("\nExecStart={}/bin/era backup --config %i\n", prefix.display());
    assert!(unit.contains(&start), "{unit}");
}

#[test]
fn systemd_understands_the_units() {
    if !oracle_program::available("systemd-analyze", "systemd") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let units = install(dir.path()).join("lib/systemd/system");
    let out = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "era-backup@vol.service", "era-backup@vol.timer"])
        .env("SYSTEMD_UNIT_PATH", format!("{}:", units.display()))
        .output()
        .unwrap();
    assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stderr).as_ref()), (Some(0), ""));
}
