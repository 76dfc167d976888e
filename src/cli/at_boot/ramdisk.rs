// SPDX-License-Identifier: GPL-3.0-or-later
//! Initial ramdisks: what makes them on this machine, and whether it did.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::bail;

use super::programs;

/// What makes an initial ramdisk, how it is called, and where it finds our part.
struct Maker {
    program: &'static str,
    arguments: &'static [&'static str],
    parts: &'static [&'static str],
}

/// The first that is there: who has both uses initramfs-tools, and dracut's parts for something else.
const MAKERS: [Maker; 2] = [
    Maker {
        program: "update-initramfs",
        arguments: &["-u", "-k", "all"],
        parts: &["usr/share/initramfs-tools/hooks/era", "etc/initramfs-tools/hooks/era"],
    },
    Maker {
        program: "dracut",
        arguments: &["--regenerate-all", "--force"],
        parts: &["usr/lib/dracut/modules.d/90era/module-setup.sh"],
    },
];

/// Where they are, and how deep below.
const PLACES: [&str; 2] = ["/boot", "/efi"];
const DEPTH: u32 = 3;

/// The command that makes them anew on the system with this root.
pub(super) fn command(root: &Path) -> anyhow::Result<Vec<String>> {
    let Some(maker) = MAKERS.iter().find(|maker| programs::is_there(root, maker.program)) else {
        bail!(
            "neither update-initramfs nor dracut is there: / can only be tracked by way of an initial ramdisk"
        );
    };
    if !maker.parts.iter().any(|part| root.join(part).exists()) {
        bail!(
            "/{}: our part of {} is not there; install era with its package, or with PREFIX=/usr",
            maker.parts[0],
            maker.program
        );
    }
    Ok(programs::words(maker.program, maker.arguments))
}

/// The initial ramdisks that are there, each with what changes when it is made anew.
#[derive(PartialEq)]
pub(super) struct Ramdisks(Vec<(PathBuf, u64, Option<SystemTime>)>);

impl Ramdisks {
    pub(super) fn find() -> Self {
        let mut found = Vec::new();
        let mut directories: Vec<_> = PLACES.iter().map(|place| (PathBuf::from(place), 0)).collect();
        while let Some((directory, depth)) = directories.pop() {
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let Ok(metadata) = entry.metadata() else { continue };
                if metadata.is_dir() && depth < DEPTH {
                    directories.push((entry.path(), depth + 1));
                } else if entry.file_name().to_string_lossy().starts_with("initr") {
                    found.push((entry.path(), metadata.ino(), metadata.modified().ok()));
                }
            }
        }
        Self(found)
    }

    /// Fails if none was made since: update-initramfs, for one, is content when it finds no kernel.
    pub(super) fn check_made(&self) -> anyhow::Result<()> {
        if Self::find().0.iter().all(|found| self.0.contains(found)) {
            bail!(
                "no initial ramdisk below {} was made anew; without one, / cannot be tracked",
                PLACES.join(" or ")
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(root: &Path, path: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    #[test]
    fn what_the_machine_has_is_called() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let error = || command(root).unwrap_err().to_string();
        assert!(error().starts_with("neither update-initramfs nor dracut"), "{}", error());

        // As on Fedora.
        has(root, "usr/bin/dracut");
        assert!(error().starts_with("/usr/lib/dracut/modules.d/90era/module-setup.sh: our"), "{}", error());
        has(root, "usr/lib/dracut/modules.d/90era/module-setup.sh");
        assert_eq!(command(root).unwrap(), ["dracut", "--regenerate-all", "--force"]);

        // As on a Debian that has dracut-core for another purpose.
        has(root, "usr/sbin/update-initramfs");
        assert!(error().starts_with("/usr/share/initramfs-tools/hooks/era: our"), "{}", error());
        has(root, "etc/initramfs-tools/hooks/era");
        assert_eq!(command(root).unwrap(), ["update-initramfs", "-u", "-k", "all"]);
    }
}
