// SPDX-License-Identifier: GPL-3.0-or-later
//! `make install` and its relatives of the program under test, in a copy of the project made of links: nothing is written
//! into the project, and nothing is built.

// Each test target uses a part of this.
#![allow(dead_code)]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The project with the program under test as what has been built.
pub fn project(dir: &Path) -> PathBuf {
    let work = dir.join("work");
    std::fs::create_dir_all(work.join("target/release")).unwrap();
    for entry in std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap() {
        let name = entry.unwrap().file_name();
        if name != "target" && name != ".git" {
            symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join(&name), work.join(&name)).unwrap();
        }
    }
    symlink(env!("CARGO_BIN_EXE_era"), work.join("target/release/era")).unwrap();
    work
}

/// Runs make there.
pub fn make(project: &Path, arguments: &[&str]) {
    let cargo = Path::new(env!("CARGO"));
    let path = std::env::var("PATH").unwrap_or_default();
    let out = Command::new("make")
        .arg("--no-print-directory")
        .args(arguments)
        .env("CARGO", cargo)
        .env("PATH", format!("{}:{path}", cargo.parent().unwrap().display()))
        // What the make that runs the tests was called with.
        .env_remove("DESTDIR")
        .env_remove("MAKEFLAGS")
        .env_remove("MFLAGS")
        .current_dir(project)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Installs with a prefix below a directory, which is returned.
pub fn install(dir: &Path, prefix: &str) -> PathBuf {
    let root = dir.join("root");
    make(&project(dir), &["install", &format!("PREFIX={prefix}"), &format!("DESTDIR={}", root.display())]);
    root
}
