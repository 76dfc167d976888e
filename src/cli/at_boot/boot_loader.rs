// SPDX-License-Identifier: GPL-3.0-or-later
//! Where the kernel's command line stands: in the entries of a boot loader, in what new entries are made of, and in GRUB's
//! configuration.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::programs;

/// What new entries are made of by kernel-install(8).
pub(super) const KERNEL_CMDLINE: &str = "/etc/kernel/cmdline";

/// What GRUB's configuration is made of.
pub(super) const GRUB: &str = "/etc/default/grub";

/// Where systemd-boot and Fedora's GRUB have their entries.
const ENTRIES: [&str; 4] =
    ["/boot/loader/entries", "/efi/loader/entries", "/boot/efi/loader/entries", "/boot/EFI/loader/entries"];

/// What writes GRUB's configuration.
const GRUB_CONFIGS: [(&str, &[&str]); 3] = [
    ("update-grub", &[]),
    ("grub2-mkconfig", &["-o", "/boot/grub2/grub.cfg"]),
    ("grub-mkconfig", &["-o", "/boot/grub/grub.cfg"]),
];

/// The end of the name of Fedora's entry for a rescue. Its initial ramdisk is never made anew: it would not find a tracked
/// device, and so it keeps the raw one.
const RESCUE: &str = "-0-rescue.conf";

/// The entries of all kernels.
pub(super) fn entries() -> anyhow::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for directory in ENTRIES {
        let Ok(found) = fs::read_dir(directory) else { continue };
        for entry in found {
            let path = entry.with_context(|| directory.to_owned())?.path();
            let is_entry = path.extension().is_some_and(|extension| extension == "conf");
            if is_entry && !path.display().to_string().ends_with(RESCUE) {
                entries.push(path);
            }
        }
    }
    entries.sort();
    // One directory may be found twice, where the filesystem makes no difference of small and capital letters.
    let mut seen = Vec::new();
    entries.retain(|entry| {
        let id = fs::metadata(entry).map(|metadata| (metadata.dev(), metadata.ino())).ok();
        let is_new = id.is_some() && !seen.contains(&id);
        seen.push(id);
        is_new
    });
    Ok(entries)
}

/// The command that writes GRUB's configuration on the system with this root, if there is one.
pub(super) fn grub_command(root: &Path) -> Option<Vec<String>> {
    let (program, arguments) = GRUB_CONFIGS.iter().find(|(program, _)| programs::is_there(root, program))?;
    Some(programs::words(program, arguments))
}
