// SPDX-License-Identifier: GPL-3.0-or-later
//! `make install` and its relatives of the program under test, in a copy of the project made of links: nothing is written
//! into the project, and nothing is built.

// Each test target uses a part of this.
#![allow(dead_code)]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::boot_program::boot_program;

/// The project with the program under test as what has been built.
pub fn project(dir: &Path) -> PathBuf {
    let work = dir.join("work");
    std::fs::create_dir_all(work.join("target/release")).unwrap();
    for entry in std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), work.join(entry.file_name()));
        if entry.file_type().unwrap().is_file() {
            // rpmbuild packages links as links.
            std::fs::copy(from, to).unwrap();
        } else if entry.file_name() != "target" && entry.file_name() != ".git" {
            symlink(from, to).unwrap();
        }
    }
    symlink(env!("CARGO_BIN_EXE_era"), work.join("target/release/era")).unwrap();
    std::fs::create_dir_all(work.join("target/boot/release")).unwrap();
    symlink(boot_program(), work.join("target/boot/release/era")).unwrap();
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

/// Whether there is cargo-deb, which `make test` installs.
pub fn has_cargo_deb() -> bool {
    let mut make = Command::new("make");
    let make = make.args(["-s", "has-cargo-deb"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    make.output().is_ok_and(|out| out.status.success())
}

/// Makes a package by one of the targets that build nothing, and returns where it is.
pub fn package(project: &Path, target: &str, extension: &str) -> PathBuf {
    // What is compressed well takes the longer the larger the program is, and one that is not optimized is large.
    make(project, &[target, "DEB_OPTIONS=--fast", "RPM_OPTIONS=--define '_binary_payload w1.gzdio'"]);
    let mut made: Vec<_> = std::fs::read_dir(project.join("target/package"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    assert_eq!(made.len(), 1, "{made:?}");
    made.remove(0)
}

/// Installs with a prefix below a directory, which is returned.
pub fn install(dir: &Path, prefix: &str) -> PathBuf {
    let root = dir.join("root");
    make(&project(dir), &["install", &format!("PREFIX={prefix}"), &format!("DESTDIR={}", root.display())]);
    root
}
