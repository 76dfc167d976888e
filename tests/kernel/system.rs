// SPDX-License-Identifier: GPL-3.0-or-later
//! The whole system: a Debian made of Debian's packages, whose root filesystem is put on a tracked device by our command,
//! boots by our hooks, is backed up from inside and over ssh, loses power, is started raw, restored, and made plain again.
//! Our package is installed, upgraded, refuses to go while devices need it, and is purged at the end.
//!
//! The machine is User-Mode Linux, as in the kernel tests. This test is its boot loader: for each boot it takes the initial
//! ramdisk and the options out of the disk, where `era create --at-boot --apply` has put them; for some boots a ramdisk that
//! dracut has made takes its place. `inside.sh` has what is done in each boot. The system without era is made once and kept
//! below ~/.cache/era.

use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::installed;
use crate::machine::{Ending, Machine, NO_BENCHMARK};
use crate::prerequisites;
use crate::work_dir::WorkDir;

/// For what hangs; all boots together take a quarter of it.
const TIME_LIMIT: Duration = Duration::from_secs(900);

/// Where the root filesystem is on the disk.
const ROOT_OFFSET: u64 = 1 << 20;

const NEEDS: [&str; 10] = [
    "mmdebstrap",
    "sfdisk",
    "debugfs",
    "mke2fs",
    "e2fsck",
    "ssh-keygen",
    "chroot",
    "unshare",
    "strip",
    "dpkg-deb",
];

/// The test, which goes first: it is the longest, and what the others leave of the machine is enough for it.
pub fn trial() -> Trial {
    let mut missing = prerequisites::missing(&NEEDS.map(String::from));
    if !rustix::process::geteuid().is_root() {
        missing.push("root, for chroot".into());
    }
    if !installed::has_cargo_deb() {
        missing.push("cargo-deb, which `make test` installs".into());
    }
    crate::trial_unless("system".into(), &missing, || {
        a_debian_on_a_tracked_device();
        Ok(())
    })
}

fn a_debian_on_a_tracked_device() {
    let mut system = System::new();
    system.boot(1, Ramdisk::OnDisk, "");
    system.boot(2, Ramdisk::OnDisk, "");
    system.boot(3, Ramdisk::DracutSystemd, "");
    system.boot(4, Ramdisk::Dracut, "");
    // The moment of a cut under load is a filesystem in order.
    let image = system.host("repository").join("image");
    system.run(Command::new("e2fsck").arg("-fn").arg(&image));
    system.boot(5, Ramdisk::DracutSystemd, "era.attach=no");
    system.boot(6, Ramdisk::OnDisk, "");
    system.restore(&image);
    system.boot(7, Ramdisk::OnDisk, "");
    system.boot(8, Ramdisk::OnDisk, "");
}

/// The initial ramdisk of a boot.
enum Ramdisk {
    /// The one that the boot loader's entry names; initramfs-tools made it.
    OnDisk,
    /// dracut's, with its own scripts in it.
    Dracut,
    /// dracut's, with systemd in it.
    DracutSystemd,
}

/// Where what is made once is kept, so that it outlives a clone.
fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    cache.or_else(home).map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), |cache| cache.join("era"))
}

struct System {
    work_dir: WorkDir,
    disk: PathBuf,
    deadline: Instant,
}

impl System {
    /// A plain system, with our package installed.
    fn new() -> Self {
        let work_dir = WorkDir::new(&[]).unwrap();
        let disk = work_dir.path().join("disk");
        let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
        for script in ["tests/system/inside.sh", "tests/kernel/lib/writer.pl"].map(Path::new) {
            fs::copy(sources.join(script), work_dir.host_dir().join(script.file_name().unwrap())).unwrap();
        }
        let system = Self { work_dir, disk, deadline: Instant::now() + TIME_LIMIT };
        let tar = system.debian(&sources.join("tests/system/recipe.sh"));
        let package = installed::package(&installed::project(system.work_dir.path()), "package-deb", "deb");
        let mut assemble = Command::new("bash");
        assemble.arg(sources.join("tests/system/assemble.sh"));
        assemble.args([&tar, &package]).arg(prerequisites::modules().unwrap()).arg(&system.disk);
        system.run(assemble.current_dir(system.work_dir.path()));
        system
    }

    /// The Debian that a recipe makes, made before or now.
    fn debian(&self, recipe: &Path) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        fs::read(recipe).unwrap().hash(&mut hasher);
        fs::read("/etc/os-release").unwrap().hash(&mut hasher);
        let tar = cache().join(format!("debian-{:016x}.tar", hasher.finish()));
        if !tar.exists() {
            fs::create_dir_all(cache()).unwrap();
            self.run(Command::new("bash").arg(recipe).arg(&tar));
        }
        tar
    }

    fn host(&self, name: &str) -> PathBuf {
        self.work_dir.host_dir().join(name)
    }

    /// Boots as the disk says, with more words for the kernel, and waits until the machine is off.
    fn boot(&mut self, number: u32, ramdisk: Ramdisk, words: &str) {
        let started = Instant::now();
        let entry = self.file_of("/boot/loader/entries/debian.conf", "entry");
        let entry = fs::read_to_string(entry).unwrap();
        let value = |key: &str| {
            entry
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .unwrap_or_else(|| panic!("{key}: {entry}"))
                .trim()
        };
        let initrd = match ramdisk {
            Ramdisk::OnDisk => self.file_of(value("initrd "), "initrd"),
            Ramdisk::Dracut => self.work_dir.path().join("initrd-dracut"),
            Ramdisk::DracutSystemd => self.work_dir.path().join("initrd-dracut-systemd"),
        };
        let mut arguments = vec![
            "mem=512M".to_owned(),
            format!("initrd={}", initrd.display()),
            "ubd0=disk".into(),
            "con0=null,fd:1".into(),
            "con=null".into(),
            "ssl=null".into(),
            "pty.legacy_count=0".into(),
            NO_BENCHMARK.into(),
            "uml_dir=.".into(),
            format!("ERA_TEST_HOST_DIR={}", self.work_dir.host_dir().display()),
            format!("ERA_TEST_BOOT={number}"),
            // What cannot be done is a panic, not a shell that nobody sits at.
            "panic=1".into(),
        ];
        arguments.extend(value("options ").split(' ').chain(words.split(' ')).map(String::from));
        let arguments = arguments.into_iter().map(OsString::from).collect();
        let ending = Machine::launch(arguments, &mut self.work_dir).unwrap().wait(self.deadline).unwrap();
        self.work_dir.machine_is_gone().unwrap();
        let result = fs::remove_file(self.host("result"));
        let is_well = match ending {
            Ending::Died(status) => status.success() && result.is_ok(),
            Ending::PowerCut => true,
            Ending::Finished(status) => panic!("boot {number}: status {status}\n{}", self.logs()),
            Ending::TimedOut => false,
        };
        assert!(is_well, "boot {number} went wrong:\n{}", self.logs());
        eprintln!("boot {number}: {} s", started.elapsed().as_secs());
    }

    /// A file of the root filesystem, which is not mounted.
    fn file_of(&self, path: &str, name: &str) -> PathBuf {
        let to = self.work_dir.path().join(name);
        let _ = fs::remove_file(&to);
        let request = format!("dump {path} {}", to.display());
        let disk = format!("{}?offset={ROOT_OFFSET}", self.disk.display());
        self.run(Command::new("debugfs").args(["-R", &request, &disk]));
        assert!(to.exists(), "{path}: is not on the disk");
        to
    }

    /// Writes an image over the root filesystem, as one does after a disk has died.
    fn restore(&self, image: &Path) {
        use std::io::{Seek, SeekFrom};
        let mut disk = File::options().write(true).open(&self.disk).unwrap();
        disk.seek(SeekFrom::Start(ROOT_OFFSET)).unwrap();
        io::copy(&mut File::open(image).unwrap(), &mut disk).unwrap();
    }

    fn run(&self, command: &mut Command) {
        let output = command.env("PATH", prerequisites::PATH).output().unwrap();
        assert!(
            output.status.success(),
            "{command:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn logs(&self) -> String {
        let inside = fs::read(self.host("output")).unwrap_or_default();
        format!("{}\n{}", String::from_utf8_lossy(&inside), self.work_dir.logs())
    }
}
