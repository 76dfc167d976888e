// SPDX-License-Identifier: GPL-3.0-or-later
//! What the owner of a stolen key would try.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::bench::{Bench, Device};
use crate::sshd::Sshd;

/// Everything below a directory.
fn tree(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut tree = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            tree.extend(self::tree(&path));
        } else {
            tree.insert(path.clone(), fs::read(&path).unwrap_or_default());
        }
    }
    tree
}

#[test]
fn nothing_but_adding_points() {
    let mut bench = Bench::new();
    let repo = bench.path().to_str().unwrap().to_owned();
    let Some(mut sshd) = Sshd::start(&format!("--receive {repo}")) else { return };
    sshd.share_connection();
    let mut device = Device::new(100_000);
    device.write_some(10);
    bench.receive(&device.full(), &device);
    let other = bench.copy();
    let link = sshd.dir.path().join("link");
    symlink(bench.path(), &link).unwrap();
    let marker = sshd.dir.path().join("marker");
    let (other_repo, link, mark) =
        (other.path().display().to_string(), link.display().to_string(), marker.display().to_string());
    device.write_some(3);
    let increment = device.increment();
    let before = (tree(&bench.path()), tree(&other.path()));

    let mut lines: Vec<String> = [
        "sh -c 'touch MARK'",
        "touch MARK",
        "/bin/era-not touch MARK",
        "scp -t .",
        "rsync --server . .",
        "era receive REPO; touch MARK",
        "era receive REPO;touch MARK",
        "era receive REPO && touch MARK",
        "era receive REPO | touch MARK",
        "era receive REPO & touch MARK",
        "era receive REPO\ntouch MARK",
        "era receive $(touch MARK)",
        "era receive `touch MARK`",
        "era receive REPO >MARK",
        "era receive REPO 2>MARK",
        "era receive \"REPO\"",
        "era receive REPO\\\n",
        "era receive 'REPO",
        "era receive REPO'",
        "era receive REPO #",
        "era receive ~/repo",
        "era receive REPO*",
        "era receive '$(touch MARK)'",
        "era receive 'REPO;touch MARK'",
        "era receive 'REPO\ntouch MARK'",
        "$(touch MARK) receive REPO",
        "X=1 era receive REPO",
        "(era receive REPO)",
        "era receive OTHER",
        "era receive REPO/../OTHER",
        "era receive LINK",
        "era receive REPO REPO",
        "era receive",
        "era receive --progress REPO",
        "era receive -- -oX",
        "era receive -oX",
        "era receive ''",
        "era points --cursor REPO",
        "era points --json OTHER",
        "era hashes OTHER",
        "era hashes LINK",
        "era prune REPO --keep-last 1",
        "era restore REPO MARK",
        "era restore --force REPO@1 MARK",
        "era verify REPO",
        "era apply MARK",
        "era copy 4096 /etc/passwd",
        "era inspect /etc/passwd",
        "era status",
        "era close --all",
        "era create x --data /dev/x --meta /dev/y",
        "era send root",
        "era backup root REPO",
        "era guardian x",
        "era restrict --receive OTHER",
        "era",
        "era help",
        "era --help",
        "era receive --help",
        "era_apply MARK",
        "''",
        " ",
    ]
    .map(|line| {
        line.replace("REPO", &repo)
            .replace("OTHER", &other_repo)
            .replace("LINK", &link)
            .replace("MARK", &mark)
    })
    .into();
    lines.push("é".repeat(40_000));
    lines.push(format!("era receive '{}'", "x".repeat(100_000)));
    for line in &lines {
        let short: String = line.chars().take(200).collect();
        let out = sshd.ask(line, &increment);
        assert_eq!(out.code, Some(2), "{short:?}: {}", out.stderr);
        assert!(out.stdout.is_empty(), "{short:?}");
        assert!(
            out.stderr.starts_with("era: refused: ") && out.stderr.lines().count() == 1,
            "{short:?}: {}",
            out.stderr
        );
        assert!(
            out.stderr.len() < 2000 && !out.stderr.trim_end().chars().any(char::is_control),
            "{}",
            out.stderr
        );
    }
    // A login, and a login that wants a terminal.
    sshd.ask_with(&[], &[], b"touch MARK\n").expect_error("no command was given, and there is no shell");
    assert!(!marker.exists());
    assert!((tree(&bench.path()), tree(&other.path())) == before);
    // And it is not in a bad mood now.
    assert_eq!(sshd.ask(&format!("era receive {repo}"), &increment).code, Some(0));
}

#[test]
fn no_files_and_no_tunnels() {
    let Some(sshd) = Sshd::start("--send root") else { return };
    let here = sshd.dir.path().join("here");
    fs::write(&here, "x").unwrap();
    let (here, there) = (here.to_str().unwrap(), sshd.dir.path().join("there"));
    let remote = format!("host:{}", there.display());
    for (program, args) in [
        ("scp", vec!["-q", here, &remote]),
        ("scp", vec!["-q", "-O", here, &remote]),
        ("sftp", vec!["-q", "host:/etc/passwd", there.to_str().unwrap()]),
        ("ssh", vec!["-s", "host", "sftp"]),
        ("ssh", vec!["-W", "127.0.0.1:1", "host"]),
    ] {
        let out = sshd.transfer(program, &args);
        assert_ne!(out.code, Some(0), "{program} {args:?}: {}", out.stderr);
        assert!(out.stdout.is_empty());
    }
    assert!(!there.exists());
    // sshd keeps what a subsystem says on stderr to itself.
    assert_eq!(sshd.transfer("ssh", &["-s", "host", "sftp"]).code, Some(2));
    // Longer than sshd, or the kernel, take for a command.
    let config = fs::read_to_string(sshd.config()).unwrap();
    fs::write(sshd.config(), format!("{config}RemoteCommand {}\n", "x".repeat(1 << 20))).unwrap();
    assert_ne!(sshd.ask_with(&[], &[], b"").code, Some(0));
}
