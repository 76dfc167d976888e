// SPDX-License-Identifier: GPL-3.0-or-later
//! A key that may copy some devices: what `era backup HOST:NAME REPO` asks for. No device is there to be copied, so what is
//! let through says that; that it copies is shown by tests on a real kernel.

use crate::bench::Bench;
use crate::program::Run;
use crate::sshd::Sshd;

/// `era send` ran, and found no device.
#[track_caller]
fn let_through(out: &Run) {
    out.expect_error("era: ");
    assert!(!out.stderr.contains("refused"), "{}", out.stderr);
    let ran = ["device-mapper", "no-such"].iter().any(|says| out.stderr.contains(says));
    assert!(ran, "{}", out.stderr);
}

#[test]
fn copies_of_these_devices_and_of_no_others() {
    let Some(sshd) = Sshd::start("--send no-such-1 no-such-2 --max-freeze 20s") else { return };
    let_through(&sshd.ask("era send no-such-1 --freeze-timeout 20s", b""));
    let_through(&sshd.ask("era send no-such-2 --freeze-timeout 20s --max-passes 20 --compare", b""));
    sshd.ask("era send no-such-3", b"").expect_error("no-such-3 is not a device of this key");
    sshd.ask("era send no-such-1 --freeze-timeout 24h", b"").expect_error("at most 20s are allowed");
    sshd.ask("era send no-such-1 --freeze-timeout 20s --full", b"").expect_error("--full is not allowed");
    sshd.ask("era receive /tmp/x", b"").expect_error("era receive is not allowed");
}

#[test]
fn all_that_era_backup_asks_for() {
    let Some(sshd) = Sshd::start("--send no-such-1") else { return };
    let bench = Bench::new();
    let rsh = format!("ssh -F {}", sshd.config().display());
    let backup = |options: &[&str], source: &str| {
        let mut args = vec!["backup", "--rsh", &rsh];
        args.extend(options);
        args.extend([source, "REPO"]);
        bench.run(&args, b"", None)
    };
    for options in [
        &[][..],
        &["--compress", "none", "--consistency", "none"],
        &["--remote-era", "/opt/my apps/it's/era", "--consistency", "snapshot", "--max-passes", "3"],
    ] {
        let_through(&backup(options, "host:no-such-1"));
    }
    let out = backup(&["--freeze-timeout", "2m"], "host:no-such-1");
    out.expect_error(
        "era send on host: failed with status 2: era: refused: --freeze-timeout 120s is too long",
    );
    backup(&[], "host:root").expect_error("root is not a device of this key");
    backup(&["--remote-era", "/bin/sh"], "host:no-such-1").expect_error("\"/bin/sh\" is not era");
}
