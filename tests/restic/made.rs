// SPDX-License-Identifier: GPL-3.0-or-later
//! A repository as `--init` makes it, but for its key: a real one takes each program that opens it half a second of a processor, which is
//! what it is for. This one was encrypted anew with the password's scrypt of N=2, r=1, p=1.

use std::fs;
use std::path::Path;

use crate::bench::Bench;
use crate::device::{Device, MIB};

const CONFIG: &[u8] = include_bytes!("made/config");
const KEY: &[u8] = include_bytes!("made/aee4b9fe10beb6124b7b83795ed20866b088685a5b827a7a1b0aa37f05855259");

/// Its files, with their paths in it.
pub const FILES: [(&str, &[u8]); 2] =
    [("keys/aee4b9fe10beb6124b7b83795ed20866b088685a5b827a7a1b0aa37f05855259", KEY), ("config", CONFIG)];

/// Puts it into a directory, where there is none yet.
pub fn make(repository: &Path) {
    if repository.exists() {
        return;
    }
    for folder in ["index", "keys", "locks", "snapshots"] {
        fs::create_dir_all(repository.join(folder)).unwrap();
    }
    for pack in 0..=255 {
        fs::create_dir_all(repository.join(format!("data/{pack:02x}"))).unwrap();
    }
    for (path, bytes) in FILES {
        fs::write(repository.join(path), bytes).unwrap();
    }
}

#[test]
fn it_is_what_init_makes() {
    let bench = Bench::new();
    let run = bench.try_receive_first(&Device::new(MIB).full());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let config = fs::read(bench.repository().join("config")).unwrap();
    // Encrypted, they have nothing in common but the length. The polynomial is a number that may have a digit less.
    assert!(config.len().abs_diff(CONFIG.len()) <= 1, "{} is not {}", config.len(), CONFIG.len());
}
