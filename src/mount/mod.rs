// SPDX-License-Identifier: GPL-3.0-or-later
//! The points of a repository as files in a directory, through FUSE.
//!
//! What there is to be seen is whatever can show its points as files; here it becomes answers to the kernel. The kernel's requests are
//! answered one after another: a point's bytes come from one disk, and each is hashed once. After an answer there is time for
//! what will be asked for next; for who reads on and on, a thread has it ready.

mod filesystem;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use fuser::{Config, MountOption, Session, SessionACL, SessionUnmounter};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use crate::repository::files::PointFiles;
use filesystem::Filesystem;

/// A directory that shows points. When it is dropped, it no longer does.
pub struct Mount {
    session: Session<Filesystem>,
    directory: PathBuf,
}

/// Ends a mount, from another thread.
pub struct Unmounter {
    session: SessionUnmounter,
    directory: PathBuf,
}

/// Checks that something can be mounted on a directory, and how.
pub fn check(directory: &Path) -> anyhow::Result<()> {
    let name = || directory.display().to_string();
    let mut entries = match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => bail!("{}: is not there; mkdir makes it", name()),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => bail!("{}: is not a directory", name()),
        Err(e) if Errno::from_io_error(&e) == Some(Errno::NOTCONN) => bail!(
            "{0}: something is mounted there whose process has died; umount {0}, or fusermount3 -u {0}, takes it away",
            name()
        ),
        entries => entries.with_context(name)?,
    };
    if entries.next().is_some() {
        bail!("{}: is not empty; choose an empty directory", name());
    }
    match File::options().read(true).write(true).open("/dev/fuse") {
        Ok(_) => Ok(()),
        Err(e) if matches!(Errno::from_io_error(&e), Some(Errno::NOENT | Errno::NODEV | Errno::NXIO)) => {
            Err(anyhow!(
                "/dev/fuse: {e}: the kernel's module fuse is not loaded; modprobe fuse, as root, loads it"
            ))
        }
        Err(e) => {
            Err(e).context("/dev/fuse: cannot open; a container must be given this device by who starts it")
        }
    }
}

impl Mount {
    /// Shows the points in a directory. From now on they can be asked for; the answers come with [`run`](Self::run).
    pub fn new(
        points: Box<dyn PointFiles>,
        source: &Path,
        directory: &Path,
        shared: bool,
    ) -> anyhow::Result<Self> {
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::RO,
            MountOption::NoDev,
            MountOption::NoSuid,
            MountOption::NoExec,
            MountOption::DefaultPermissions,
            MountOption::FSName(source_name(source)),
            MountOption::Subtype("era".into()),
        ];
        config.acl = if shared { SessionACL::All } else { SessionACL::Owner };
        let session = Session::new(Filesystem::new(points, shared), directory, &config)
            .map_err(|e| explain(e, shared))
            .with_context(|| format!("{}: cannot mount", directory.display()))?;
        Ok(Self { session, directory: directory.to_owned() })
    }

    /// What ends it, from another thread.
    pub fn unmounter(&mut self) -> Unmounter {
        Unmounter { session: self.session.unmount_callable(), directory: self.directory.clone() }
    }

    /// Answers until it is unmounted.
    pub fn run(self) -> anyhow::Result<()> {
        self.session.run().with_context(|| self.directory.display().to_string())
    }
}

impl Unmounter {
    /// Unmounts. Where something is still in use, nothing new can be opened from now on, and it ends when nobody uses it
    /// any more; returns whether that is so.
    pub fn unmount(&mut self) -> anyhow::Result<bool> {
        match self.session.unmount() {
            Ok(()) => Ok(false),
            Err(e) if Errno::from_io_error(&e) == Some(Errno::BUSY) => {
                rustix::mount::unmount(&self.directory, UnmountFlags::DETACH)
                    .map(|()| true)
                    .with_context(|| self.directory.display().to_string())
            }
            Err(e) => Err(e).with_context(|| self.directory.display().to_string()),
        }
    }
}

/// What stands before the directory in the list of mounts. It goes through a list of options with commas.
fn source_name(source: &Path) -> String {
    match source.to_str() {
        Some(name) if !name.contains([',', '\\']) => name.into(),
        _ => "era".into(),
    }
}

/// What to do where mounting failed.
fn explain(error: io::Error, shared: bool) -> anyhow::Error {
    if error.kind() == io::ErrorKind::NotFound {
        return anyhow!("who is not root needs fusermount3 for it: Debian package fuse3");
    }
    let said = error.to_string();
    if shared && said.contains("user_allow_other") {
        return anyhow!("{}; for --allow-other, /etc/fuse.conf must say so", said.trim_end());
    }
    error.into()
}
