// SPDX-License-Identifier: GPL-3.0-or-later
//! A key that may add points to one repository: what `era backup NAME HOST:REPO` asks for.

use std::fs;

use crate::bench::{Bench, Device};
use crate::program::Run;
use crate::sshd::Sshd;

#[track_caller]
fn succeeded(out: &Run) {
    assert_eq!(out.code, Some(0), "{}", out.stderr);
}

#[test]
fn a_push_does_all_that_it_needs() {
    let mut bench = Bench::new();
    let repo = bench.path().to_str().unwrap().to_owned();
    let Some(sshd) = Sshd::start(&format!("--receive {repo}")) else { return };
    let mut device = Device::new(200_000);
    device.write_some(20);

    let out = sshd.ask(&format!("era points --json --if-any {repo}"), b"");
    assert_eq!((out.code, out.stdout.as_slice()), (Some(1), &b"null\n"[..]), "{}", out.stderr);
    succeeded(&sshd.ask(&format!("era receive {repo}"), &device.full()));
    bench.kept.push((1, device.bytes.clone()));
    device.write_some(5);
    // A path of era there that needs quoting, and that is of no meaning.
    succeeded(&sshd.ask(&format!("'/opt/my apps/era' receive '{repo}/'"), &device.increment()));
    bench.kept.push((2, device.bytes.clone()));

    let before = device.bytes.clone();
    device.generation = uuid::Uuid::from_u128(9);
    device.write_some(3);
    let list = sshd.ask(&format!("era hashes {repo}"), b"");
    succeeded(&list);
    assert!(list.stdout == bench.list());
    succeeded(&sshd.ask(&format!("era receive {repo}"), &device.difference(&list.stdout, &before)));
    bench.kept.push((3, device.bytes.clone()));
    bench.check_tidy();

    let out = sshd.ask(&format!("era points --json --if-any {repo}"), b"");
    succeeded(&out);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(json["points"].as_array().unwrap().len(), 3);

    // The command itself fails as it always does, and keeps nothing.
    let full = device.full();
    sshd.ask(&format!("era receive {repo}"), &full[..full.len() - 1]).expect_error("");
    bench.check_tidy();
}

#[test]
fn era_backup_gets_through_to_the_repository() {
    let mut bench = Bench::new();
    let repo = bench.path().to_str().unwrap().to_owned();
    let Some(sshd) = Sshd::start(&format!("--receive {repo}")) else { return };
    let mut device = Device::new(200_000);
    bench.receive(&device.full(), &device);
    // What is missing is a device to send.
    let rsh = format!("ssh -F {}", sshd.config().display());
    let out = bench.run(&["backup", "--rsh", &rsh, "no-such-device", "host:REPO"], b"", None);
    out.expect_error("era send on this machine: failed with status 2");
    let out = bench.run(&["backup", "--rsh", &rsh, "no-such-device", "host:REPO/x"], b"", None);
    out.expect_error("era points on host: failed with status 2: era: refused: ");
    bench.check_tidy();
}

#[test]
fn no_variable_of_the_client_changes_anything() {
    let mut bench = Bench::new();
    let repo = bench.path().to_str().unwrap().to_owned();
    let Some(sshd) = Sshd::start(&format!("--receive {repo}")) else { return };
    let mut device = Device::new(200_000);
    device.write_some(20);
    let crash =
        [("ERA_CRASH_AT", "3"), ("ERA_FAILPOINT", "x"), ("SSH_CLIENT", "x"), ("SSH_ORIGINAL_COMMAND", "id")];
    succeeded(&sshd.ask_with(&crash, &[&format!("era receive {repo}")], &device.full()));
    bench.kept.push((1, device.bytes.clone()));
    bench.check_tidy();
    // Without a command of its own, this is the one that counts; it passes through the same hands.
    let marker = sshd.dir.path().join("marker");
    let touch = format!("touch {}", marker.display());
    sshd.ask_with(&[("SSH_ORIGINAL_COMMAND", &touch)], &[], b"").expect_error("refused");
    assert!(!fs::exists(marker).unwrap());
}
