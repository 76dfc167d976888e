// SPDX-License-Identifier: GPL-3.0-or-later
//! Files that are changed: at once, for good, and with a copy of what they were.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::device::eratab::Name;

/// Where a file is kept as it was: beside it, with a name that nobody takes for a configuration.
pub(super) fn backup_of(path: &Path, name: &Name) -> PathBuf {
    PathBuf::from(format!("{}.before-era-{name}", path.display()))
}

/// `None` where it is not there.
pub(super) fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some).with_context(|| format!("{}: cannot read", path.display())),
    }
}

/// Replaces a file; it keeps its permissions.
pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    write_like(path, path, text)
}

/// Keeps what stands in a file; nobody may read that who may not read the file.
pub(super) fn back_up(path: &Path, name: &Name, text: &str) -> anyhow::Result<()> {
    write_like(&backup_of(path, name), path, text)
}

fn write_like(path: &Path, model: &Path, text: &str) -> anyhow::Result<()> {
    let replace = || -> anyhow::Result<()> {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let directory = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)?;
        let temporary = temporary_of(&path);
        let mut file = File::create(&temporary)?;
        if let Ok(metadata) = fs::metadata(model) {
            file.set_permissions(metadata.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        Ok(File::open(directory)?.sync_all()?)
    };
    replace().with_context(|| format!("{}: cannot write", path.display()))
}

/// Removes what a write that was killed may have left.
pub(super) fn clean_up(path: &Path) {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let _ = fs::remove_file(temporary_of(&path));
}

fn temporary_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.era-new", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn links_and_modes_stay_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real", &link).unwrap();
        fs::write(dir.path().join("real.era-new"), "half").unwrap();
        clean_up(&link);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        write(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(read(&link).unwrap().unwrap(), "new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        let name = "vol".parse().unwrap();
        back_up(&link, &name, "old").unwrap();
        let backup = fs::metadata(backup_of(&link, &name)).unwrap();
        assert_eq!(backup.permissions().mode() & 0o777, 0o640, "of the backup");
        assert_eq!(read(&dir.path().join("none")).unwrap(), None);
    }
}
