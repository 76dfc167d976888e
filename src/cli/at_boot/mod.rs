// SPDX-License-Identifier: GPL-3.0-or-later
//! `era create --at-boot`, and its undoing by `era remove`: what else must change for a machine to start with a tracked
//! device in place of a raw one that is in use, / perhaps.
//!
//! What is to be changed is recorded before it is changed, so that a half-done change can be undone like a whole one, also
//! by somebody who comes after a crash. Each file is kept as it was beside the new one.

mod boot_loader;
mod files;
mod names;
mod programs;
mod ramdisk;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::boot::edits::{self, Edit, Names};
use crate::device::disk::Disk;
use crate::device::dm::node;
use crate::device::eratab::{Entry, Name};
use crate::device::{failpoint, mounts};
use crate::report;
use files::{backup_of, read, write};
use ramdisk::Ramdisks;

/// What was changed for which device.
const RECORDS: &str = "/var/lib/era/at-boot";

const FSTAB: &str = "/etc/fstab";

/// The system that is changed is this one.
const ROOT: &str = "/";

/// The change of one file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Change {
    path: PathBuf,
    edits: Vec<Edit>,
}

/// What is to be changed for a device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Whether the initial ramdisk opens it: / or /usr is on it.
    pub(super) initrd: bool,
    changes: Vec<Change>,
    /// What is run after that, each with its arguments.
    commands: Vec<Vec<String>>,
}

/// What was done, or at least begun.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// The device's line in eratab, which may be gone already when somebody comes to undo the rest.
    entry: String,
    plan: Plan,
}

/// Finds out what must change; refuses what cannot be done.
pub(super) fn plan(name: &Name, data: &Disk, apply: bool) -> anyhow::Result<Plan> {
    let path = data.path.display();
    let holders = PathBuf::from(format!("/sys/dev/block/{}/holders", data.number));
    if let Some(holder) = fs::read_dir(&holders).with_context(|| holders.display().to_string())?.next() {
        let holder = holder.with_context(|| holders.display().to_string())?.file_name();
        bail!(
            "{path}: is held by {}, a volume manager or encryption perhaps; track the device above that",
            holder.display()
        );
    }
    let mounted = mounts::on(data.number)?;
    let is_mounted_on = |path: &str| mounted.iter().any(|mount| mount.path == Path::new(path));
    let is_root = is_mounted_on("/");
    let initrd = is_root || is_mounted_on("/usr");
    let ramdisk = initrd.then(|| ramdisk::command(Path::new(ROOT))).transpose()?;

    let names = Names { raw: names::spellings(data)?, tracked: node(name.as_str()).display().to_string() };
    let mut changes = Vec::new();
    let mut change = |path: PathBuf, plan: fn(&str, &Names) -> Vec<Edit>| -> anyhow::Result<bool> {
        let Some(text) = read(&path)? else { return Ok(false) };
        let edits = plan(&text, &names);
        let found = !edits.is_empty();
        if found {
            changes.push(Change { path, edits });
        }
        Ok(found)
    };
    change(FSTAB.into(), edits::fstab)?;
    let mut commands = Vec::new();
    if is_root {
        let mut found = change(boot_loader::KERNEL_CMDLINE.into(), edits::command_line)?;
        for entry in boot_loader::entries()? {
            found |= change(entry, edits::command_line)?;
        }
        if let Some(command) = boot_loader::grub_command(Path::new(ROOT))
            && change(boot_loader::GRUB.into(), edits::grub)?
        {
            found = true;
            commands.push(command);
        }
        if !found {
            let what = format!(
                "no boot loader's configuration with root= of {path} was found; give the kernel root={} yourself \
                 before the next boot: with another one, root=UUID= of the raw device perhaps, the machine does not start, \
                 or / is not tracked",
                names.tracked
            );
            // With --apply all is said to be done.
            if apply {
                bail!("{what}. Without --apply, the rest is prepared for that");
            }
            report::warn(format_args!("{what}"));
        }
    }
    commands.extend(ramdisk);
    Ok(Plan { initrd, changes, commands })
}

impl Plan {
    /// Prints what is to be done, as a person would do it.
    pub(super) fn print(&self) {
        for change in &self.changes {
            println!("in {}:", change.path.display());
            for edit in &change.edits {
                match edit {
                    Edit::Replace { old, new } => println!("  - {old}\n  + {new}"),
                    Edit::Append(new) => println!("  + {new}"),
                }
            }
        }
        self.commands.iter().for_each(|command| println!("run: {}", command.join(" ")));
    }
}

impl Record {
    /// What is about to be done for a device.
    pub(super) fn new(entry: &Entry, plan: &Plan) -> Self {
        Self { entry: entry.to_string(), plan: plan.clone() }
    }

    /// The device's line in eratab.
    pub(super) fn entry(&self) -> anyhow::Result<Entry> {
        self.entry.parse().with_context(|| format!("{RECORDS}: is damaged"))
    }

    /// Does it. Where a step fails, it is to be put back.
    pub(super) fn apply(&self, name: &Name) -> anyhow::Result<()> {
        write(&path_of(name), &serde_json::to_string_pretty(self)?)?;
        failpoint::reach("boot-recorded");
        for Change { path, edits } in &self.plan.changes {
            let text = read(path)?.with_context(|| format!("{}: is gone", path.display()))?;
            files::back_up(path, name, &text)?;
            failpoint::reach("boot-backup");
            write(path, &edits::apply(&text, edits))?;
            failpoint::reach("boot-changed");
        }
        let before = Ramdisks::find();
        self.run_commands()?;
        if self.plan.initrd { before.check_made() } else { Ok(()) }
    }

    /// Undoes it, wholly or half done. The device must not stand in eratab any more, of which the initial ramdisk has a copy.
    pub(super) fn put_back(&self, name: &Name) -> anyhow::Result<()> {
        failpoint::arm();
        for Change { path, edits } in &self.plan.changes {
            put_back(path, edits, name)?;
            failpoint::reach("boot-restored");
        }
        self.put_back_others(name)?;
        let before = Ramdisks::find();
        self.run_commands()?;
        if self.plan.initrd && before.check_made().is_err() {
            report::warn(format_args!(
                "no initial ramdisk was made anew: those that are there may still look for {name}; make one before the \
                 next boot"
            ));
        }
        Ok(())
    }

    /// Entries of kernels that were installed while it was tracked, which got what stood on the command line then.
    fn put_back_others(&self, name: &Name) -> anyhow::Result<()> {
        let tracked = node(name.as_str()).display().to_string();
        let edits = self.plan.changes.iter().flat_map(|change| &change.edits);
        let Some(root) = edits::old_root(edits, &tracked) else { return Ok(()) };
        for path in boot_loader::entries()?.into_iter().chain([boot_loader::KERNEL_CMDLINE.into()]) {
            let Some(text) = read(&path)? else { continue };
            let new = edits::with_root(&text, &tracked, &root);
            if new != text {
                write(&path, &new)?;
                report::note(format_args!("{}: {root} again", path.display()));
            }
        }
        Ok(())
    }

    fn run_commands(&self) -> anyhow::Result<()> {
        self.plan.commands.iter().try_for_each(|command| programs::run(command))
    }
}

/// There is nothing to undo any more.
pub(super) fn forget(name: &Name) -> anyhow::Result<()> {
    let path = path_of(name);
    files::clean_up(&path);
    remove(&path)
}

/// Puts one file back as it was, or takes back what was changed in it where others have changed it since.
fn put_back(path: &Path, edits: &[Edit], name: &Name) -> anyhow::Result<()> {
    let backup = backup_of(path, name);
    files::clean_up(path);
    files::clean_up(&backup);
    let before = read(&backup)?;
    let Some(text) = read(path)? else {
        return gone(path).and_then(|()| if before.is_some() { remove(&backup) } else { Ok(()) });
    };
    let Some(before) = before else {
        // It was not changed yet, or somebody has tidied up.
        let (new, missing) = edits::take_back(&text, edits);
        let replaced = |line: &String| !edits.contains(&Edit::Append(line.clone()));
        missing.iter().filter(|line| replaced(line)).for_each(|line| report_missing(path, line));
        return if new == text { Ok(()) } else { write(path, &new) };
    };
    if text != before {
        let (text, missing) = edits::take_back(&text, edits);
        missing.iter().for_each(|line| report_missing(path, line));
        write(path, &text)?;
        if text != before {
            report::note(format_args!("{}: is {} as it was", backup.display(), path.display()));
            return Ok(());
        }
    }
    remove(&backup)
}

fn remove(path: &Path) -> anyhow::Result<()> {
    fs::remove_file(path).with_context(|| path.display().to_string())
}

fn report_missing(path: &Path, line: &str) {
    report::warn(format_args!(
        "{}: was changed since; see to it yourself, this line is not there any more: {line}",
        path.display()
    ));
}

/// A file that was changed is not there. The entry of a kernel goes with the kernel; but not with its directory, which is on
/// a filesystem that is not mounted then.
fn gone(path: &Path) -> anyhow::Result<()> {
    if path.parent().is_some_and(Path::is_dir) {
        report::note(format_args!("{}: is gone, and is left so", path.display()));
        return Ok(());
    }
    bail!(
        "{}: is not there, and was changed for it; mount the filesystem that it is on, and try again",
        path.display()
    )
}

/// What was changed for a device, if anything was.
pub(super) fn made(name: &Name) -> anyhow::Result<Option<Record>> {
    let path = path_of(name);
    read(&path)?
        .map(|text| serde_json::from_str(&text).with_context(|| format!("{}: is damaged", path.display())))
        .transpose()
}

fn path_of(name: &Name) -> PathBuf {
    Path::new(RECORDS).join(format!("{name}.json"))
}
