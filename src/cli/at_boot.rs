// SPDX-License-Identifier: GPL-3.0-or-later
//! `era create --at-boot`, and its undoing by `era remove`: what else must change for a machine to start with a tracked
//! device in place of a raw one that is in use, / perhaps.
//!
//! What was changed is recorded before it is changed, so that a half-done change can be undone like a whole one. Each file
//! is kept as it was beside the new one.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::boot::edits::{self, Edit, Names};
use crate::device::disk::Disk;
use crate::device::dm::node;
use crate::device::eratab::Name;
use crate::device::mounts;
use crate::report;

/// What was changed for which device.
const RECORDS: &str = "/var/lib/era/at-boot";

const FSTAB: &str = "/etc/fstab";
const GRUB: &str = "/etc/default/grub";
const KERNEL_CMDLINE: &str = "/etc/kernel/cmdline";
/// Where systemd-boot and Fedora's GRUB have their entries.
const ENTRIES: [&str; 4] =
    ["/boot/loader/entries", "/efi/loader/entries", "/boot/efi/loader/entries", "/boot/EFI/loader/entries"];

/// What makes an initial ramdisk, how it is called, and where it finds our part.
const RAMDISKS: [(&str, &[&str], &[&str]); 2] = [
    (
        "update-initramfs",
        &["-u", "-k", "all"],
        &["/usr/share/initramfs-tools/hooks/era", "/etc/initramfs-tools/hooks/era"],
    ),
    ("dracut", &["--regenerate-all", "--force"], &["/usr/lib/dracut/modules.d/90era/module-setup.sh"]),
];

/// Where initial ramdisks are, and how deep below.
const BOOT: &str = "/boot";
const BOOT_DEPTH: u32 = 3;

/// What writes GRUB's configuration.
const GRUB_CONFIGS: [(&str, &[&str]); 3] = [
    ("update-grub", &[]),
    ("grub2-mkconfig", &["-o", "/boot/grub2/grub.cfg"]),
    ("grub-mkconfig", &["-o", "/boot/grub/grub.cfg"]),
];

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

/// Finds out what must change; refuses what cannot be done.
pub(super) fn plan(name: &Name, data: &Disk) -> anyhow::Result<Plan> {
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
    let initrd =
        mounted.iter().any(|mount| [Path::new("/"), Path::new("/usr")].contains(&mount.path.as_path()));
    let ramdisk = initrd.then(ramdisk).transpose()?;

    let names = Names { raw: spellings(data)?, tracked: node(name.as_str()).display().to_string() };
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
    if initrd {
        let mut found = change(KERNEL_CMDLINE.into(), edits::command_line)?;
        for entry in entries()? {
            found |= change(entry, edits::command_line)?;
        }
        if let Some((program, arguments)) = GRUB_CONFIGS.iter().find(|(program, _)| is_there(program))
            && change(GRUB.into(), edits::grub)?
        {
            found = true;
            commands.push(words(program, arguments));
        }
        if !found {
            report::warn(format_args!(
                "no boot loader's configuration with root= of {path} was found; give the kernel root={} yourself: \
                 root=UUID= may mean the raw device, which is not tracked",
                names.tracked
            ));
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

    /// Does it. Where a step fails, it is to be put back.
    pub(super) fn apply(&self, name: &Name) -> anyhow::Result<()> {
        let record = record_of(name);
        write(&record, &serde_json::to_string_pretty(self)?)?;
        for Change { path, edits } in &self.changes {
            let text = read(path)?.with_context(|| format!("{}: is gone", path.display()))?;
            write(&backup_of(path, name), &text)?;
            write(path, &edits::apply(&text, edits))?;
        }
        let before = ramdisks();
        self.commands.iter().try_for_each(|command| run(command))?;
        // update-initramfs, for one, is content when it finds no kernel.
        if self.initrd && ramdisks().iter().all(|found| before.contains(found)) {
            bail!("no initial ramdisk below {BOOT} was made anew; without one, / cannot be tracked");
        }
        Ok(())
    }

    /// Undoes it, and forgets it. The device must not stand in eratab any more, of which the initial ramdisk has a copy.
    pub(super) fn put_back(&self, name: &Name) -> anyhow::Result<()> {
        for Change { path, edits } in &self.changes {
            let backup = backup_of(path, name);
            let (Some(text), Some(before)) = (read(path)?, read(&backup)?) else { continue };
            if text != before {
                let (text, missing) = edits::take_back(&text, edits);
                for line in missing {
                    report::warn(format_args!(
                        "{}: was changed since; see to it yourself, this line is not there any more: {line}",
                        path.display()
                    ));
                }
                write(path, &text)?;
                if text != before {
                    report::note(format_args!("{}: is {} as it was", backup.display(), path.display()));
                    continue;
                }
            }
            fs::remove_file(&backup).with_context(|| backup.display().to_string())?;
        }
        self.commands.iter().try_for_each(|command| run(command))?;
        let record = record_of(name);
        fs::remove_file(&record).with_context(|| record.display().to_string())
    }
}

/// What was changed for a device, if anything was.
pub(super) fn made(name: &Name) -> anyhow::Result<Option<Plan>> {
    let record = record_of(name);
    read(&record)?
        .map(|text| serde_json::from_str(&text).with_context(|| format!("{}: is damaged", record.display())))
        .transpose()
}

fn record_of(name: &Name) -> PathBuf {
    Path::new(RECORDS).join(format!("{name}.json"))
}

/// Beside the file, with a name that nobody takes for a configuration.
fn backup_of(path: &Path, name: &Name) -> PathBuf {
    PathBuf::from(format!("{}.before-era-{name}", path.display()))
}

/// How this device may be called: its nodes and links, and the tags that udev knows.
fn spellings(data: &Disk) -> anyhow::Result<Vec<String>> {
    let real = fs::canonicalize(&data.path).with_context(|| data.path.display().to_string())?;
    let mut names = vec![data.path.display().to_string(), real.display().to_string()];
    for directory in fs::read_dir("/dev/disk").into_iter().flatten().flatten() {
        let tag = match directory.file_name().to_str() {
            Some("by-uuid") => Some("UUID"),
            Some("by-label") => Some("LABEL"),
            Some("by-partuuid") => Some("PARTUUID"),
            Some("by-partlabel") => Some("PARTLABEL"),
            _ => None,
        };
        for link in fs::read_dir(directory.path()).into_iter().flatten().flatten() {
            if fs::canonicalize(link.path()).is_ok_and(|target| target == real) {
                names.push(link.path().display().to_string());
                names.extend(tag.map(|tag| format!("{tag}={}", link.file_name().display())));
            }
        }
    }
    Ok(names)
}

fn entries() -> anyhow::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for directory in ENTRIES {
        let Ok(found) = fs::read_dir(directory) else { continue };
        for entry in found {
            let path = entry.with_context(|| directory.to_owned())?.path();
            if path.extension().is_some_and(|extension| extension == "conf") {
                entries.push(path);
            }
        }
    }
    entries.sort();
    Ok(entries)
}

fn ramdisk() -> anyhow::Result<Vec<String>> {
    let Some((program, arguments, parts)) = RAMDISKS.iter().find(|(program, ..)| is_there(program)) else {
        bail!(
            "neither update-initramfs nor dracut is there: / can only be tracked by way of an initial ramdisk"
        );
    };
    if !parts.iter().any(|part| Path::new(part).exists()) {
        bail!(
            "{}: our part of {program} is not there; install era with its package, or with PREFIX=/usr",
            parts[0]
        );
    }
    Ok(words(program, arguments))
}

/// The initial ramdisks that are there, each with what changes when it is made anew.
fn ramdisks() -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let mut found = Vec::new();
    let mut directories = vec![(PathBuf::from(BOOT), 0)];
    while let Some((directory, depth)) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() && depth < BOOT_DEPTH {
                directories.push((entry.path(), depth + 1));
            } else if entry.file_name().to_string_lossy().starts_with("initr") {
                found.push((entry.path(), metadata.ino(), metadata.modified().ok()));
            }
        }
    }
    found
}

fn words(program: &str, arguments: &[&str]) -> Vec<String> {
    [program].iter().chain(arguments).map(|&word| word.into()).collect()
}

fn is_there(program: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .any(|directory| Path::new(directory).join(program).exists())
}

fn run(command: &[String]) -> anyhow::Result<()> {
    let text = command.join(" ");
    let [program, arguments @ ..] = command else { return Ok(()) };
    let status = Command::new(program).args(arguments).status().with_context(|| text.clone())?;
    if !status.success() {
        bail!("{text}: {status}");
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some).with_context(|| format!("{}: cannot read", path.display())),
    }
}

/// Replaces a file at once and for good; it keeps its permissions.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let replace = || -> anyhow::Result<()> {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let directory = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)?;
        let temporary = PathBuf::from(format!("{}.era-new", path.display()));
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        if let Ok(metadata) = fs::metadata(&path) {
            file.set_permissions(metadata.permissions())?;
        }
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        Ok(File::open(directory)?.sync_all()?)
    };
    replace().with_context(|| format!("{}: cannot write", path.display()))
}
