// SPDX-License-Identifier: GPL-3.0-or-later
//! What is refused is in the system's log. /dev of the one who writes to it is a directory of ours, in which we listen.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use crate::program::run_command;

#[test]
fn refusals_are_logged_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let era = env!("CARGO_BIN_EXE_era");
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c"]);
        command.arg("mount --bind \"$0\" /dev && exec \"$@\"").arg(dir.path());
        command
    };
    let mut can = unshare();
    can.arg("true");
    let can = run_command(can, b"");
    if can.code != Some(0) {
        let why = format!("no mount namespace: {}", can.stderr);
        assert!(std::env::var_os("ERA_TEST_REQUIRE_ALL").is_none_or(|all| all != "1"), "{why}");
        return eprintln!("skipped: {why}");
    }
    let log = UnixDatagram::bind(dir.path().join("log")).unwrap();
    log.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let ask = |line: &str| {
        let mut command = unshare();
        command.args([era, "restrict", "--receive", "/srv/no such"]);
        command.env("SSH_ORIGINAL_COMMAND", line).env("SSH_CLIENT", "192.0.2.7 50022 22");
        run_command(command, b"")
    };
    assert_eq!(ask("era points --json --if-any '/srv/no such'").code, Some(1));
    ask("rm -rf /srv\n<0>kernel: \u{1b}[2Jall is well").expect_error("refused");
    let mut entry = [0; 10_000];
    let len = log.recv(&mut entry).unwrap();
    let entry = std::str::from_utf8(&entry[..len]).unwrap();
    // Facility authpriv, severity warning.
    assert!(entry.starts_with("<84>"), "{entry}");
    let (_, said) = entry.split_once("]: ").unwrap();
    assert_eq!(
        said.trim_end_matches('\0'),
        r"restrict --receive /srv/no such: refused: byte 12: '\n' may stand only in single quotes; client: 192.0.2.7 50022 22; command: rm -rf /srv\n<0>kernel: \u{1b}[2Jall is well"
    );
    ask(&"x".repeat(100_000)).expect_error("refused");
    let mut entry = [0; 10_000];
    assert!((1000..4000).contains(&log.recv(&mut entry).unwrap()));
}
