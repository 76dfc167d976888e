// SPDX-License-Identifier: GPL-3.0-or-later
//! A scenario is a shell script; what the host must know about it stands in the comment at its head.
//!
//! | line | meaning |
//! | --- | --- |
//! | `# time limit: SECONDS` | for all boots together (default 200); it ends what hangs, so several times what it takes |
//! | `# needs: COMMAND ...` | commands that the host may lack; without them the test is ignored |
//! | `# program: with restic` | era is the program with everything; otherwise the initial ramdisk's, which starts sooner |
//! | `# disk: NAME MEBIBYTES` | a disk that survives a power cut, `$(ubd_disk NAME)` inside |
//!
//! A script that defines `boot_1`, `boot_2` ... is run in as many boots.

use std::{fs, io, path::Path, path::PathBuf, time::Duration};

const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(200);

/// A disk of the machine that the host keeps in a file from boot to boot.
pub struct Disk {
    pub name: String,
    pub bytes: u64,
}

impl Disk {
    /// In the directory of the run.
    pub fn file_name(&self) -> String {
        format!("disk-{}", self.name)
    }
}

/// One scenario, as its script describes it.
pub struct Scenario {
    pub name: String,
    pub script: PathBuf,
    pub time_limit: Duration,
    pub needs: Vec<String>,
    pub with_restic: bool,
    pub disks: Vec<Disk>,
    pub boots: u32,
}

impl Scenario {
    /// All scenarios of a directory, by name.
    pub fn read_all(directory: &Path) -> io::Result<Vec<Self>> {
        let mut scripts = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "sh") {
                scripts.push(path);
            }
        }
        scripts.sort();
        scripts.into_iter().map(Self::read).collect()
    }

    fn read(script: PathBuf) -> io::Result<Self> {
        let text = fs::read_to_string(&script)?;
        let name = script.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut scenario = Self {
            name,
            script,
            time_limit: DEFAULT_TIME_LIMIT,
            needs: Vec::new(),
            with_restic: false,
            disks: Vec::new(),
            boots: count_boots(&text),
        };
        for line in text.lines().take_while(|line| line.starts_with('#')) {
            scenario.read_header(line).ok_or_else(|| {
                io::Error::other(format!("{}: malformed line: {line}", scenario.script.display()))
            })?;
        }
        Ok(scenario)
    }

    /// `None` for a line that has one of our keys but not a value that we understand.
    fn read_header(&mut self, line: &str) -> Option<()> {
        if let Some(value) = line.strip_prefix("# time limit:") {
            self.time_limit = Duration::from_secs(value.trim().parse().ok()?);
        } else if let Some(value) = line.strip_prefix("# needs:") {
            self.needs.extend(value.split_whitespace().map(String::from));
        } else if let Some(value) = line.strip_prefix("# program:") {
            self.with_restic = (value.trim() == "with restic").then_some(true)?;
        } else if let Some(value) = line.strip_prefix("# disk:") {
            let (name, mebibytes) = value.trim().split_once(' ')?;
            let bytes = mebibytes.trim().parse::<u64>().ok()? << 20;
            self.disks.push(Disk { name: name.into(), bytes });
        }
        Some(())
    }
}

/// The boots are numbered from 1 without a gap; a script without any is one boot.
fn count_boots(script: &str) -> u32 {
    let defined = |boot: u32| script.lines().any(|line| line.starts_with(&format!("boot_{boot}()")));
    (1..).take_while(|&boot| defined(boot)).last().unwrap_or(1)
}
