// SPDX-License-Identifier: GPL-3.0-or-later
//! The systemd generator: each line of eratab becomes `era@NAME.service`, in the order in which crypttab and veritytab
//! become units; see systemd.generator(7).
//!
//! - It starts when both disks are there, and stops when one is gone.
//! - `blockdev@dev-mapper-NAME.target` stands between it and whatever uses the device: fsck and mounts come later, and at
//!   shutdown it is closed after the last unmount.
//! - What the initial ramdisk opens is not closed at shutdown, since / may be on it: the shutdown hook sees to that.
//! - In the initial ramdisk there are units for what is marked `x-initrd.attach` only, and not before a hibernated system
//!   has had its chance: opening writes to the metadata device, which that system believes to know.

use std::path::{Path, PathBuf};

use super::escape;
use crate::device::eratab::{self, Entry, Table};

/// Where units are generated.
#[derive(Clone, Debug)]
pub struct Place {
    /// The program that the units start.
    pub program: PathBuf,
    /// Whether this is the initial ramdisk.
    pub initrd: bool,
    /// Whether what is marked `x-initrd.attach` is wanted.
    pub attach: bool,
}

/// What a generator makes, all paths relative to its directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Generated {
    /// Units: path and text.
    pub files: Vec<(PathBuf, String)>,
    /// Symbolic links: path and where they lead.
    pub links: Vec<(PathBuf, String)>,
    /// What somebody should know, for the log.
    pub warnings: Vec<String>,
}

/// The target that all tracked devices belong to that are opened at boot.
pub const TARGET: &str = "era.target";

/// How many seconds closing waits for who still uses the device. What is mounted by UUID or label stops at the same time, as
/// systemd knows it by a name that a unit made of eratab cannot know.
const UNMOUNTING: u32 = 10;

/// The units of a table.
pub fn generate(table: &Table, place: &Place) -> Generated {
    let mut made = Generated::default();
    for (line, problem) in &table.problems {
        made.warnings.push(format!("{}:{line}: {problem}", eratab::PATH));
    }
    for entry in &table.entries {
        if entry.options.initrd_attach && !place.attach {
            made.warnings.push(format!(
                "{}: NOT TRACKED: era.attach=no is on the kernel's command line; what is written now is not tracked, \
                 and the next time it is opened every backup makes a full pass",
                entry.name
            ));
        } else if entry.options.initrd_attach || !place.initrd {
            add(&mut made, entry, place);
        }
    }
    if made.links.iter().any(|(path, _)| path.starts_with(format!("{TARGET}.requires")))
        || made.links.iter().any(|(path, _)| path.starts_with(format!("{TARGET}.wants")))
    {
        made.links.push((Path::new("sysinit.target.wants").join(TARGET), format!("../{TARGET}")));
        made.files.push((TARGET.into(), target()));
    }
    made
}

fn add(made: &mut Generated, entry: &Entry, place: &Place) {
    let name = format!("era@{}.service", escape::instance(entry.name.as_str()));
    let device = escape::path(&format!("/dev/mapper/{}", entry.name));
    made.files.push((PathBuf::from(&name), unit(entry, &device, place)));
    let link = |directory: String| (Path::new(&directory).join(&name), format!("../{name}"));
    if !entry.options.noauto {
        let kind = if entry.options.nofail { "wants" } else { "requires" };
        made.links.push(link(format!("{TARGET}.{kind}")));
    }
    // Whoever mounts the device starts it, also where it is marked noauto.
    made.links.push(link(format!("{device}.device.requires")));
}

fn unit(entry: &Entry, device: &str, place: &Place) -> String {
    let disks = [&entry.data, &entry.metadata]
        .map(|spec| format!("{}.device", escape::path(&escape::udev_path(spec))))
        .join(" ");
    let mut after = disks.clone();
    if place.initrd {
        after.push_str(" systemd-hibernate-resume.service local-fs-pre.target");
    }
    let mut before = format!("blockdev@{device}.target");
    if !entry.options.nofail {
        before.push_str(&format!(" {TARGET}"));
    }
    let mut conflicts = String::new();
    if !entry.options.initrd_attach {
        before.push_str(" umount.target");
        conflicts.push_str("Conflicts=umount.target\n");
    }
    let (name, program) = (&entry.name, place.program.display());
    format!(
        "# Made by era-generator of a line in {path}.\n\
         [Unit]\n\
         Description=Tracked device {name}\n\
         Documentation=man:eratab(5)\n\
         SourcePath={path}\n\
         DefaultDependencies=no\n\
         IgnoreOnIsolate=true\n\
         BindsTo={disks}\n\
         After={after}\n\
         Before={before}\n\
         Wants=blockdev@{device}.target\n\
         {conflicts}\
         \n\
         [Service]\n\
         Type=oneshot\n\
         RemainAfterExit=yes\n\
         ExecStart={program} open {name}\n\
         ExecStop={program} close --wait {UNMOUNTING} {name}\n",
        path = eratab::PATH,
    )
}

fn target() -> String {
    format!(
        "# Made by era-generator of {}.\n\
         [Unit]\n\
         Description=Tracked Devices\n\
         Documentation=man:eratab(5)\n",
        eratab::PATH
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "root PARTUUID=ca-02 PARTUUID=ca-03 x-initrd.attach\n\
                         vm-1 /dev/vg/vm1 /dev/vg/vm1-meta\n\
                         usb LABEL=usb PARTUUID=cb-01 noauto,nofail\n\
                         late /dev/c /dev/d nofail\n";

    fn generated(initrd: bool, attach: bool) -> Generated {
        let place = Place { program: "/usr/bin/era".into(), initrd, attach };
        generate(&eratab::parse(TABLE), &place)
    }

    fn unit_of<'a>(made: &'a Generated, name: &str) -> &'a str {
        &made.files.iter().find(|(path, _)| path == Path::new(name)).unwrap().1
    }

    #[test]
    fn an_ordinary_device_is_closed_at_shutdown() {
        let made = generated(false, true);
        assert_eq!(
            unit_of(&made, "era@vm\\x2d1.service"),
            "# Made by era-generator of a line in /etc/eratab.\n\
             [Unit]\n\
             Description=Tracked device vm-1\n\
             Documentation=man:eratab(5)\n\
             SourcePath=/etc/eratab\n\
             DefaultDependencies=no\n\
             IgnoreOnIsolate=true\n\
             BindsTo=dev-vg-vm1.device dev-vg-vm1\\x2dmeta.device\n\
             After=dev-vg-vm1.device dev-vg-vm1\\x2dmeta.device\n\
             Before=blockdev@dev-mapper-vm\\x2d1.target era.target umount.target\n\
             Wants=blockdev@dev-mapper-vm\\x2d1.target\n\
             Conflicts=umount.target\n\
             \n\
             [Service]\n\
             Type=oneshot\n\
             RemainAfterExit=yes\n\
             ExecStart=/usr/bin/era open vm-1\n\
             ExecStop=/usr/bin/era close --wait 10 vm-1\n"
        );
    }

    #[test]
    fn what_the_options_say() {
        let made = generated(false, true);
        let root = unit_of(&made, "era@root.service");
        assert!(!root.contains("umount.target"), "/ is never closed: {root}");
        assert!(root.contains("BindsTo=dev-disk-by\\x2dpartuuid-ca\\x2d02.device "), "{root}");
        assert!(!unit_of(&made, "era@late.service").contains("era.target"), "the boot does not wait for it");
        let links: Vec<_> = made.links.iter().map(|(path, to)| format!("{} {to}", path.display())).collect();
        assert_eq!(
            links,
            [
                "era.target.requires/era@root.service ../era@root.service",
                "dev-mapper-root.device.requires/era@root.service ../era@root.service",
                "era.target.requires/era@vm\\x2d1.service ../era@vm\\x2d1.service",
                "dev-mapper-vm\\x2d1.device.requires/era@vm\\x2d1.service ../era@vm\\x2d1.service",
                "dev-mapper-usb.device.requires/era@usb.service ../era@usb.service",
                "era.target.wants/era@late.service ../era@late.service",
                "dev-mapper-late.device.requires/era@late.service ../era@late.service",
                "sysinit.target.wants/era.target ../era.target",
            ]
        );
        assert!(made.warnings.is_empty());
    }

    #[test]
    fn in_the_initial_ramdisk_only_what_it_needs_and_after_hibernation() {
        let made = generated(true, true);
        let files: Vec<_> = made.files.iter().map(|(path, _)| path.display().to_string()).collect();
        assert_eq!(files, ["era@root.service", "era.target"]);
        assert!(made.files[0].1.contains(".device systemd-hibernate-resume.service local-fs-pre.target\n"));
    }

    #[test]
    fn era_attach_no_is_said() {
        let made = generated(false, false);
        assert!(made.files.iter().all(|(path, _)| path != Path::new("era@root.service")));
        assert!(made.files.iter().any(|(path, _)| path == Path::new("era@late.service")));
        assert!(made.warnings[0].starts_with("root: NOT TRACKED"), "{:?}", made.warnings);
        assert_eq!(generated(true, false).files, []);
    }

    #[test]
    fn no_table_no_units_and_a_bad_line_is_told_of() {
        let place = Place { program: "era".into(), initrd: false, attach: true };
        assert_eq!(generate(&eratab::parse("# nothing\n"), &place), Generated::default());
        assert!(generate(&eratab::parse("bad\n"), &place).warnings[0].starts_with("/etc/eratab:1: "));
    }
}
