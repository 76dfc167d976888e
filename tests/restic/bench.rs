// SPDX-License-Identifier: GPL-3.0-or-later
//! A repository in a directory, the program, and Debian's restic.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::device::Device;
use crate::made;
use crate::program::{Run, command, run_command};

pub const PASSWORD: &str = "a horse and a staple";

/// A directory with a repository in it, and a cache beside that.
pub struct Bench {
    pub dir: tempfile::TempDir,
    /// Where the repository is, as restic writes it, unless it is in the directory.
    pub place: Option<String>,
    /// What programs need to reach it.
    pub environment: Vec<(&'static str, String)>,
}

/// What the program says of a snapshot that it has added.
#[derive(Debug)]
pub struct Added {
    pub segments: u64,
    pub opened: u64,
}

impl Bench {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), place: None, environment: Vec::new() }
    }

    /// One of which the repository is elsewhere.
    pub fn at(place: String, environment: &[(&'static str, String)]) -> Self {
        Self { place: Some(place), environment: environment.to_vec(), ..Self::new() }
    }

    fn place(&self) -> String {
        self.place.clone().unwrap_or_else(|| self.repository().display().to_string())
    }

    pub fn repository(&self) -> PathBuf {
        self.dir.path().join("repository")
    }

    pub fn url(&self) -> String {
        format!("restic:{}", self.place())
    }

    fn prepared(&self, mut command: Command) -> Command {
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("RESTIC_") || name.starts_with("AWS_"))
        {
            command.env_remove(name);
        }
        command
            .env("RESTIC_PASSWORD", PASSWORD)
            .env("RESTIC_FROM_PASSWORD", PASSWORD)
            .env("XDG_CACHE_HOME", self.dir.path().join("cache"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// `era`, that has the password.
    pub fn era(&self, args: &[&str]) -> Command {
        self.prepared(command("era", args))
    }

    /// Debian's restic.
    pub fn restic(&self, args: &[&str]) -> Command {
        let mut command = self.prepared(Command::new("restic"));
        command.arg("--repo").arg(self.place()).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A repository is there.
    fn make(&self) {
        if self.place.is_none() {
            made::make(&self.repository());
        }
    }

    /// A stream goes into the repository, which is made where it is not there.
    pub fn try_receive(&self, stream: &[u8]) -> Run {
        self.make();
        self.try_receive_first(stream)
    }

    /// The same, where a repository may not be there, and is made by the program then.
    pub fn try_receive_first(&self, stream: &[u8]) -> Run {
        run_command(self.era(&["receive", "--init", "--name", "vol", &self.url()]), stream)
    }

    /// The same of a device with another name.
    #[track_caller]
    pub fn receive_as(&self, name: &str, stream: &[u8]) {
        self.make();
        let run = run_command(self.era(&["receive", "--init", "--name", name, &self.url()]), stream);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    }

    /// `era`, run to its end.
    pub fn run(&self, args: &[&str]) -> Run {
        run_command(self.era(args), &[])
    }

    /// The same, of which success is expected; what it says.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let run = self.run(args);
        assert_eq!(run.code, Some(0), "{args:?}: {}", run.stderr);
        String::from_utf8(run.stdout).unwrap()
    }

    /// What `era points --json` says, of each device.
    #[track_caller]
    pub fn points(&self) -> Vec<serde_json::Value> {
        let text = self.ok(&["points", &self.url(), "--json"]);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The ids of the points of the only device, oldest first.
    #[track_caller]
    pub fn ids(&self) -> Vec<String> {
        let points = self.points();
        assert!(points.len() <= 1, "{points:?}");
        let ids = points.iter().flat_map(|device| device["points"].as_array().unwrap());
        ids.map(|point| point["id"].as_str().unwrap().to_owned()).collect()
    }

    /// A file of this name in the directory of the test.
    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// A point, restored into a new file.
    #[track_caller]
    pub fn restored(&self, point: &str) -> Vec<u8> {
        let target = self.path("restored");
        let _ = std::fs::remove_file(&target);
        self.ok(&["restore", &format!("{}@{point}", self.url()), &target]);
        std::fs::read(&target).unwrap()
    }

    #[track_caller]
    pub fn receive(&self, stream: &[u8]) -> Added {
        let run = self.try_receive(stream);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let number = |after: &str| -> u64 {
            let (before, _) =
                run.stderr.split_once(after).unwrap_or_else(|| panic!("{after}: {}", run.stderr));
            before.rsplit(' ').next().unwrap().parse().unwrap()
        };
        Added { segments: number(" segments came"), opened: number(" were read") }
    }

    /// The number of snapshots, as restic counts them.
    pub fn snapshots(&self) -> usize {
        let list: serde_json::Value = serde_json::from_slice(&self.output(&["snapshots", "--json"])).unwrap();
        list.as_array().unwrap().len()
    }

    /// What restic writes.
    #[track_caller]
    pub fn output(&self, args: &[&str]) -> Vec<u8> {
        let output = self.restic(args).output().expect("restic is installed: apt-get install restic");
        assert!(output.status.success(), "restic {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// A snapshot's image, as the manual says that restic gives it.
    #[track_caller]
    pub fn dumped(&self, snapshot: &str) -> Vec<u8> {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
        let tar = self.output(&["dump", "--host", &host, "--path", "/vol.img", snapshot, "/vol.img"]);
        let path = self.dir.path().join("dump.tar");
        std::fs::write(&path, tar).unwrap();
        let output = Command::new("tar").arg("xOf").arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// restic finds nothing wrong, in all data, and the newest snapshot is the device.
    #[track_caller]
    pub fn check(&self, device: &Device) {
        self.check_only();
        assert!(self.dumped("latest") == device.image(), "the image is not the device");
    }

    #[track_caller]
    pub fn check_only(&self) {
        let said = String::from_utf8(self.output(&["check", "--read-data"])).unwrap();
        assert!(said.contains("no errors were found"), "{said}");
    }

    /// Bytes in all files of the repository.
    pub fn size(&self) -> u64 {
        fn size(path: &Path) -> u64 {
            let meta = std::fs::metadata(path).unwrap();
            if meta.is_file() {
                return meta.len();
            }
            std::fs::read_dir(path).unwrap().map(|entry| size(&entry.unwrap().path())).sum()
        }
        size(&self.repository())
    }
}
