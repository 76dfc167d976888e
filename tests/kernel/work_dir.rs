// SPDX-License-Identifier: GPL-3.0-or-later
//! The directory of one test run, and the janitor that sees to it that nothing is left behind.
//!
//! The janitor is a shell in a process group of its own that waits for the end of its stdin. That comes when the
//! `WorkDir` is dropped, and just as well when the test binary is killed in whatever way. Then it kills the machine,
//! if one still runs, and removes the directory: the one way of cleaning up, so that every test tests it.

use std::{
    env, fs,
    fs::File,
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::scenario::Disk;

/// Reads the machine's process group, or an empty line when it is gone; the directory is the first argument.
/// The second removal is for a file that a dying process made during the first.
const JANITOR: &str = r#"
machine=
while read -r line; do machine=$line; done
[ -z "$machine" ] || kill -s KILL -- "-$machine"
[ -n "$ERA_TEST_KEEP" ] || rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }
"#;

const CONSOLE_LINES: usize = 100;

/// A directory below the host's temporary directory.
pub struct WorkDir {
    path: PathBuf,
    janitor: Child,
}

impl WorkDir {
    /// Makes the directory, with the persistent disks in it.
    pub fn new(disks: &[Disk]) -> io::Result<Self> {
        let path = tempfile::Builder::new().prefix("era-kernel-test-").tempdir()?.keep();
        let janitor = Command::new("sh")
            .args(["-c", JANITOR, "janitor"])
            .arg(&path)
            .env("ERA_TEST_KEEP", env::var_os("ERA_TEST_KEEP").unwrap_or_default())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let work_dir = Self { path, janitor };
        fs::create_dir(work_dir.host_dir())?;
        for disk in disks {
            File::create(work_dir.path.join(disk.file_name()))?.set_len(disk.bytes)?;
        }
        Ok(work_dir)
    }

    /// The directory that the machine sees as /run/host, the only one that it can write to.
    pub fn host_dir(&self) -> PathBuf {
        self.path.join("host")
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file that all boots append to.
    pub fn log(&self, name: &str) -> io::Result<File> {
        File::options().create(true).append(true).open(self.path.join(name))
    }

    pub fn machine_runs(&mut self, process_group: u32) -> io::Result<()> {
        self.tell_janitor(&process_group.to_string())
    }

    pub fn machine_is_gone(&mut self) -> io::Result<()> {
        self.tell_janitor("")
    }

    fn tell_janitor(&mut self, line: &str) -> io::Result<()> {
        match &mut self.janitor.stdin {
            Some(stdin) => writeln!(stdin, "{line}"),
            None => Ok(()),
        }
    }

    /// What the scenario printed, and the end of the machine's console.
    pub fn logs(&self) -> String {
        let read = |name| fs::read(self.path.join(name)).unwrap_or_default();
        let output = String::from_utf8_lossy(&read("output")).into_owned();
        let console = String::from_utf8_lossy(&read("console")).into_owned();
        let lines: Vec<&str> = console.lines().collect();
        let tail = lines[lines.len().saturating_sub(CONSOLE_LINES)..].join("\n");
        let kept = match env::var_os("ERA_TEST_KEEP") {
            Some(_) => format!("--- kept: {}\n", self.path.display()),
            None => String::new(),
        };
        format!("--- output of the scenario\n{output}--- end of the console\n{tail}\n{kept}")
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        // Nothing is left to do about an error: the janitor has been told.
        let _ = self.janitor.wait();
    }
}
