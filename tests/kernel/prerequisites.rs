// SPDX-License-Identifier: GPL-3.0-or-later
//! What the host must have for the machine to boot and for a scenario to run.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Where commands are looked for, inside the machine as well: an ordinary user's PATH lacks the sbin directories.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Commands that the machine itself uses, and the Debian packages that have them.
const ALWAYS: [(&str, &str); 10] = [
    ("linux.uml", "user-mode-linux"),
    ("bash", "bash"),
    ("perl", "perl-base"),
    ("mount", "mount"),
    ("losetup", "mount"),
    ("modprobe", "kmod"),
    ("dmsetup", "dmsetup"),
    ("blkdiscard", "util-linux"),
    ("taskset", "util-linux"),
    ("mkfs.ext4", "e2fsprogs"),
];

/// Commands that only some scenarios use.
const SOMETIMES: [(&str, &str); 17] = [
    ("era_invalidate", "thin-provisioning-tools"),
    ("mkfs.xfs", "xfsprogs"),
    ("xfs_repair", "xfsprogs"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("lvm", "lvm2"),
    ("sfdisk", "fdisk"),
    ("filefrag", "e2fsprogs"),
    ("fusermount3", "fuse3"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("sshd", "openssh-server"),
    ("udevadm", "udev"),
    ("mmdebstrap", "mmdebstrap"),
    ("debugfs", "e2fsprogs"),
    ("mke2fs", "e2fsprogs"),
    ("e2fsck", "e2fsprogs"),
    ("strip", "binutils"),
];

/// Says for each missing command how to get it; empty when everything is there.
pub fn missing(needs: &[String]) -> Vec<String> {
    let mut missing = Vec::new();
    for command in ALWAYS.iter().map(|(command, _)| *command).chain(needs.iter().map(String::as_str)) {
        if find(command).is_none() {
            missing.push(match package(command) {
                Some(package) => format!("{command} (Debian package {package})"),
                None => command.to_string(),
            });
        }
    }
    if missing.is_empty() && modules().is_none() {
        missing.push("the modules of linux.uml below /usr/lib/uml/modules".into());
    }
    missing
}

/// The directory of the modules of the installed `linux.uml`.
pub fn modules() -> Option<&'static Path> {
    static MODULES: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find_modules = || {
        let version = Command::new(find("linux.uml")?).arg("--version").output().ok()?;
        let version = String::from_utf8(version.stdout).ok()?;
        let directory = Path::new("/usr/lib/uml/modules").join(version.trim());
        directory.join("modules.dep").is_file().then_some(directory)
    };
    MODULES.get_or_init(find_modules).as_deref()
}

pub fn find(command: &str) -> Option<PathBuf> {
    PATH.split(':').map(|directory| Path::new(directory).join(command)).find(|path| path.is_file())
}

fn package(command: &str) -> Option<&'static str> {
    let mut known = ALWAYS.iter().chain(&SOMETIMES);
    known.find(|(name, _)| *name == command).map(|(_, package)| *package)
}
