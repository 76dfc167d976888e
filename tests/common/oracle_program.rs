// SPDX-License-Identifier: GPL-3.0-or-later
//! Other people's programs that tests compare with.

use std::process::Command;

/// Whether a program can be started. If not, the test is to be skipped, and this says why; where a complete run is
/// asked for by ERA_TEST_REQUIRE_ALL=1, it fails instead.
pub fn available(program: &str, debian_package: &str) -> bool {
    if Command::new(program).arg("-V").output().is_ok() {
        return true;
    }
    let why = format!("no {program} in PATH (mind /usr/sbin): install the Debian package {debian_package}");
    assert!(std::env::var_os("ERA_TEST_REQUIRE_ALL").is_none_or(|all| all != "1"), "{why}");
    eprintln!("skipped: {why}");
    false
}
