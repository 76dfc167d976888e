// SPDX-License-Identifier: GPL-3.0-or-later
//! The scripts that open tracked devices in an initial ramdisk, with stand-ins for what they call: when a device cannot be
//! opened, and when it is not to be. That they open one is shown by the test of the whole system.
//!
//! The scripts have absolute paths; here these are made relative to a directory that holds such a ramdisk.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const INITRAMFS_TOOLS: &str = "dist/initramfs-tools/scripts/local-top/era";
const TABLE: &str = "root PARTUUID=ca-02 PARTUUID=ca-03 x-initrd.attach\n\
                     usr /dev/vdb1 /dev/vdb2 x-initrd.attach\n";

/// A ramdisk, in a directory.
struct Ramdisk(tempfile::TempDir);

/// What a script did.
struct Done {
    ok: bool,
    stderr: String,
    /// What it called, each with its arguments.
    calls: Vec<String>,
}

impl Ramdisk {
    fn new(cmdline: &str, table: &str) -> Self {
        let ramdisk = Self(tempfile::tempdir().unwrap());
        for directory in ["bin", "conf", "etc", "proc", "run", "scripts/local-premount"] {
            fs::create_dir_all(ramdisk.0.path().join(directory)).unwrap();
        }
        ramdisk.write("calls", "");
        ramdisk.write("proc/cmdline", &format!("{cmdline}\n"));
        ramdisk.write("etc/eratab", table);
        ramdisk.program("modprobe", "");
        ramdisk.program("era", "echo 'root: opened: /dev/mapper/root'");
        ramdisk
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.0.path().join(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.path().join(path)).unwrap_or_default()
    }

    /// A program that notes its calls, and then does something.
    fn program(&self, name: &str, does: &str) {
        self.executable(&format!("bin/{name}"), &format!("echo \"{name} $*\" >>calls\n{does}\n"));
    }

    fn executable(&self, path: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        self.write(path, &format!("#!/bin/sh\n{text}"));
        fs::set_permissions(self.0.path().join(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a script of ours, after some words of whoever calls it.
    fn run(&self, shell: &[&str], script: &str, before: &str, environment: &[(&str, &str)]) -> Done {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(script)).unwrap();
        let mut text = format!("{before}\n{text}");
        for directory in ["/etc/eratab", "/scripts/", "/run/", "/conf/", "/proc/"] {
            text = text.replace(directory, &directory[1..]);
        }
        self.write("script", &text);
        let path = format!("{}/bin:/usr/sbin:/usr/bin:/sbin:/bin", self.0.path().display());
        let out = Command::new(shell[0])
            .args(&shell[1..])
            .args(["script"])
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", path)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Done {
            ok: out.status.success(),
            stderr: String::from_utf8(out.stderr).unwrap(),
            calls: self.read("calls").lines().map(String::from).collect(),
        }
    }

    /// The one of initramfs-tools; `panic` is its function for a shell, which somebody leaves again.
    fn initramfs_tools(&self, shell: &[&str], environment: &[(&str, &str)]) -> Done {
        self.write("scripts/functions", "panic() {\n  echo \"panic $*\" >>calls\n  : >mended\n}\n");
        let root = [("ROOT", "/dev/mapper/root")];
        self.run(shell, INITRAMFS_TOOLS, "", &[&root, environment].concat())
    }
}

/// The shells of this machine that a ramdisk may have.
fn shells() -> Vec<&'static [&'static str]> {
    let known: [&'static [&'static str]; 3] = [&["sh"], &["dash"], &["busybox", "sh"]];
    let is_there = |shell: &&[&str]| {
        let output = Command::new(shell[0]).args(&shell[1..]).args(["-c", ":"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    known.into_iter().filter(is_there).collect()
}

#[test]
fn what_is_marked_is_opened_and_slow_disks_are_waited_for() {
    for shell in shells() {
        for (cmdline, wait) in [("root=/dev/mapper/root ro", 30), ("rootdelay=7 era.attach=yes", 7)] {
            let ramdisk = Ramdisk::new(cmdline, TABLE);
            let done = ramdisk.initramfs_tools(shell, &[]);
            assert!(done.ok, "{shell:?}: {}", done.stderr);
            assert_eq!(done.calls, ["modprobe -q dm_era", &format!("era open --all --initrd --wait {wait}")]);
            assert_eq!(ramdisk.read("run/era-opened"), "root: opened: /dev/mapper/root\n");
            assert_eq!(ramdisk.read("conf/param.conf"), "");
        }
    }
}

#[test]
fn what_cannot_be_opened_is_told_of_and_tried_again_after_the_shell() {
    for shell in shells() {
        let ramdisk = Ramdisk::new("quiet", TABLE);
        let refuses =
            "[ -e mended ] || { echo 'era: root: PARTUUID=ca-03: no such device' >&2; exit 2; }\necho opened";
        ramdisk.program("era", refuses);
        let done = ramdisk.initramfs_tools(shell, &[]);
        assert!(done.ok, "{shell:?}: {}", done.stderr);
        let [_, first, panic, again] = done.calls.as_slice() else { panic!("{:?}", done.calls) };
        assert_eq!(first, "era open --all --initrd --wait 30");
        assert!(panic.starts_with("panic era: a tracked device cannot be opened, see above."), "{panic}");
        assert!(panic.contains("era.attach=no"), "{panic}");
        assert_eq!(again, "era open --all --initrd --wait 0");
        let said = "era: root: PARTUUID=ca-03: no such device\nopened\n";
        assert_eq!((done.stderr.as_str(), ramdisk.read("run/era-opened").as_str()), (said, said));
    }
}

#[test]
fn era_attach_no_mounts_the_data_device_and_says_so() {
    for shell in shells() {
        for no in ["no", "0", "off", "false"] {
            let ramdisk = Ramdisk::new(&format!("era.attach=yes quiet era.attach={no}"), TABLE);
            let done = ramdisk.initramfs_tools(shell, &[]);
            assert!(done.ok && done.calls.is_empty(), "{shell:?}: {} {:?}", done.stderr, done.calls);
            for name in ["root", "usr"] {
                assert!(done.stderr.contains(&format!("era: {name}: NOT TRACKED: ")), "{}", done.stderr);
            }
            assert_eq!(ramdisk.read("conf/param.conf"), "ROOT='PARTUUID=ca-02'\n");
        }
    }
}

#[test]
fn a_hibernated_system_comes_first() {
    let ramdisk = Ramdisk::new("quiet", TABLE);
    ramdisk.executable("scripts/local-premount/resume", "echo resume >>calls\n");
    let done = ramdisk.initramfs_tools(&["sh"], &[("resume", "/dev/vda3")]);
    assert_eq!(done.calls, ["resume", "modprobe -q dm_era", "era open --all --initrd --wait 30"]);
    // Without a place for it there is none.
    ramdisk.write("calls", "");
    assert_eq!(ramdisk.initramfs_tools(&["sh"], &[]).calls.len(), 2);
}

#[test]
fn where_nothing_is_marked_nothing_happens() {
    let done = Ramdisk::new("quiet", "").initramfs_tools(&["sh"], &[]);
    assert!(done.ok && done.calls.is_empty(), "{} {:?}", done.stderr, done.calls);
}

/// dracut's functions, and its loop, which sources a script until the root device is there.
fn dracut(attach: &str, times: usize) -> String {
    format!(
        "getargbool() {{ [ {attach} = yes ]; }}\n\
         warn() {{ echo \"warn $*\" >>calls; }}\n\
         {}exit",
        ". ./dracut-script\n".repeat(times)
    )
}

#[test]
fn dracut_opens_what_has_come_and_says_each_thing_once() {
    let ramdisk = Ramdisk::new("quiet", TABLE);
    let open = "dist/dracut/90era/era-open.sh";
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(open)).unwrap();
    ramdisk.write("dracut-script", &text.replace("/run/", "run/"));
    // The disk comes with the third call.
    ramdisk.program(
        "era",
        "[ $(grep -c ^era calls) -ge 3 ] || { echo 'no such device' >&2; exit 2; }\necho opened",
    );
    let done = ramdisk.run(&["sh"], open, &dracut("yes", 5), &[]);
    assert!(done.ok, "{}", done.stderr);
    let calls: Vec<_> = done.calls.iter().filter(|call| !call.starts_with("modprobe")).collect();
    let era = "era open --all --initrd";
    assert_eq!(calls, [era, "warn no such device", era, era, "warn opened"]);
    assert_eq!(ramdisk.read("run/era-opened"), "no such device\nopened\n");
    ramdisk.write("calls", "");
    assert!(ramdisk.run(&["sh"], open, &dracut("no", 2), &[]).calls.is_empty());
}

#[test]
fn dracut_says_what_era_attach_no_means() {
    let parse = "dist/dracut/90era/era-parse.sh";
    for (attach, says) in [("no", 2), ("yes", 0)] {
        let ramdisk = Ramdisk::new("quiet", TABLE);
        let functions = format!("getargbool() {{ [ {attach} = yes ]; }}\nwarn() {{ echo \"$*\" >>calls; }}");
        let done = ramdisk.run(&["sh"], parse, &functions, &[]);
        let said = done.calls.iter().filter(|call| call.contains(": NOT TRACKED: era.attach=no")).count();
        assert_eq!((said, done.calls.len()), (says, says), "{:?}", done.calls);
    }
}
