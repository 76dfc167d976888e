// SPDX-License-Identifier: GPL-3.0-or-later
//! What the program draws, kept as files in tests/data/look. `ERA_TEST_BLESS=1` writes them anew: look at the difference.

use std::path::Path;
use std::{env, fs};

/// Compares a text with the file of that name.
#[track_caller]
pub fn assert_snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/look").join(name);
    if env::var_os("ERA_TEST_BLESS").is_some() {
        fs::write(&path, text).expect("the file is written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{} has:\n{expected}\nand this is drawn:\n{text}", path.display());
}
