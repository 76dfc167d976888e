// SPDX-License-Identifier: GPL-3.0-or-later
//! What a command leaves in /run/era/NAME for whoever must clean up after it.
//!
//! A metadata snapshot does not say who took it, nor a suspended or frozen device who did that. While a mark is there
//! and the device's lock can be had, it was a command of ours that has died, and the next command undoes it. Without the
//! mark it was somebody else, who may be in the middle of something: `era send` and `era changed` refuse a device
//! that is suspended, `era open` and `era close`, which are told to put it in order, resume it all the same. The mark of a
//! metadata snapshot says which one, as another program may have taken one since. /run is empty after a boot, and so is the
//! kernel of suspends and freezes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::dm::Dm;
use super::held::Held;
use super::mounts;
use super::stack;
use super::untracked;
use crate::report;
use crate::sys;

/// Where the marks are: on a tmpfs, which nobody freezes.
const DIRECTORY: &str = "/run/era";

/// What is done to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It may be suspended.
    Suspended,
    /// Its filesystems may be frozen.
    Frozen,
    /// A metadata snapshot may be held.
    MetadataSnapshot,
    /// dm-era was taken out, and what follows from that is seen to.
    Untracked,
}

impl Mark {
    fn file(self) -> &'static str {
        match self {
            Mark::Suspended => "suspended",
            Mark::Frozen => "frozen",
            Mark::MetadataSnapshot => "metadata-snapshot",
            Mark::Untracked => "untracked",
        }
    }
}

/// The marks of one device.
pub struct Traces {
    name: String,
    directory: PathBuf,
}

impl Traces {
    /// Those of a device.
    pub fn of(name: &str) -> Self {
        Self { name: name.into(), directory: Path::new(DIRECTORY).join(name) }
    }

    /// The names of all devices with a mark.
    pub fn devices_with(mark: Mark) -> Vec<String> {
        let names = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
        names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| Self::of(name).has(mark))
            .collect()
    }

    /// Says what is about to be done. Before anything is suspended, as a file is made.
    pub fn leave(&self, mark: Mark) -> anyhow::Result<()> {
        let path = self.path(mark);
        fs::create_dir_all(&self.directory)
            .and_then(|()| fs::write(&path, ""))
            .with_context(|| format!("{}: cannot write", path.display()))
    }

    /// Says which metadata snapshot it is.
    pub fn name_snapshot(&self, held: Held) -> anyhow::Result<()> {
        let path = self.directory.join(Mark::MetadataSnapshot.file());
        fs::write(&path, held.to_string()).with_context(|| format!("{}: cannot write", path.display()))
    }

    /// Says that it is no longer so.
    pub fn wipe(&self, mark: Mark) -> anyhow::Result<()> {
        let path = self.path(mark);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(e).with_context(|| format!("{}: cannot remove", path.display()))
            }
            _ => {
                // Goes with the last mark.
                let _ = fs::remove_dir(&self.directory);
                Ok(())
            }
        }
    }

    /// Removes all marks, of a device that is no longer there.
    pub fn forget(&self) -> anyhow::Result<()> {
        [Mark::Suspended, Mark::Frozen, Mark::MetadataSnapshot, Mark::Untracked]
            .into_iter()
            .try_for_each(|mark| self.wipe(mark))
    }

    /// Whether a mark is there.
    pub fn has(&self, mark: Mark) -> bool {
        self.path(mark).exists()
    }

    /// Where a mark is.
    pub fn path(&self, mark: Mark) -> PathBuf {
        self.directory.join(mark.file())
    }

    fn snapshot(&self) -> Option<Held> {
        fs::read_to_string(self.directory.join(Mark::MetadataSnapshot.file())).ok()?.parse().ok()
    }

    /// Undoes what the marks say, and removes them.
    pub fn clean_up(&self, dm: &Dm) -> anyhow::Result<()> {
        let state = dm.state(&self.name)?.filter(|state| state.live);
        if self.has(Mark::Suspended) {
            if state.as_ref().is_some_and(|state| state.suspended) {
                stack::let_through(dm, &self.name)?;
            }
            self.wipe(Mark::Suspended)?;
        }
        if self.has(Mark::Frozen) {
            for mount in state.as_ref().map(|state| mounts::on(state.number)).transpose()?.unwrap_or_default()
            {
                // Fails where it is not frozen.
                if sys::thaw(&mount.directory).is_ok() {
                    report::note(format_args!("{}: thawed", mount.path.display()));
                }
            }
            self.wipe(Mark::Frozen)?;
        }
        if self.has(Mark::MetadataSnapshot) {
            // Of a command that has died just before or just after it took one it does not say which: whose the one is
            // that is held cannot be known then, and who reads it must not lose it. dm-era that was taken out has forgotten
            // it.
            if let Some(ours) = self.snapshot()
                && state.is_some()
                && !untracked::is_out(dm, &self.name)?
                && Held::of(dm, &self.name)? == Some(ours)
            {
                dm.message(&self.name, "drop_metadata_snap")?;
            }
            self.wipe(Mark::MetadataSnapshot)?;
        }
        Ok(())
    }
}
