// SPDX-License-Identifier: GPL-3.0-or-later
//! `make deb` and `make rpm`, of the program under test: they hold what `make install` installs and what a package must have
//! besides, and nothing else. How a package is installed, upgraded, refused to go and purged is in the test of the whole system.

#[path = "common/boot_program.rs"]
mod boot_program;
#[path = "common/installed.rs"]
mod installed;
#[path = "common/oracle_program.rs"]
mod oracle_program;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What a program prints; it must succeed.
fn output(program: &str, arguments: &[&str], file: &Path) -> String {
    let out = Command::new(program).args(arguments).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{program}: {said}{}", String::from_utf8_lossy(&out.stderr));
    said
}

/// Whether there is cargo-deb; if not, says so, and fails where nothing is to be skipped.
fn has_cargo_deb() -> bool {
    if installed::has_cargo_deb() {
        return true;
    }
    let why = "no cargo-deb: `make test` installs it";
    assert!(std::env::var_os("ERA_TEST_REQUIRE_ALL").is_none_or(|all| all != "1"), "{why}");
    eprintln!("skipped: {why}");
    false
}

/// What `make install` installs: files with their permissions, links with where they lead, as `ls -l` shows both.
fn expected(dir: &Path, zsh: &str) -> BTreeSet<String> {
    let root = dir.join("expected");
    let destination = format!("DESTDIR={}", root.display());
    let zsh = format!("ZSH_COMPLETIONS={zsh}");
    installed::make(&dir.join("work"), &["install", "PREFIX=/usr", &destination, &zsh]);
    let listed = Command::new("find")
        .args([
            ".",
            "(",
            "-type",
            "l",
            "-printf",
            "%M %P -> %l\\n",
            ")",
            "-o",
            "-type",
            "f",
            "-printf",
            "%M %P\\n",
        ])
        .current_dir(&root)
        .output()
        .unwrap();
    String::from_utf8(listed.stdout).unwrap().lines().map(String::from).collect()
}

/// Pages are compressed in packages, where the tools do that.
fn uncompressed(line: &str) -> String {
    match line.strip_suffix(".gz") {
        Some(page) if page.contains("share/man/") => page.to_owned(),
        _ => line.to_owned(),
    }
}

fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[test]
fn a_package_for_debian() {
    if !oracle_program::available("lintian", "lintian") || !has_cargo_deb() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let deb = installed::package(&installed::project(dir.path()), "package-deb", "deb");
    let listed: BTreeSet<_> = output("dpkg-deb", &["-c"], &deb)
        .lines()
        .filter(|line| !line.starts_with('d'))
        .map(|line| {
            let (mode, path) = (line.split(' ').next().unwrap(), line.split_once(" ./").unwrap().1);
            uncompressed(&format!("{mode} {path}"))
        })
        .collect();
    let mut wanted = expected(dir.path(), "share/zsh/vendor-completions");
    for of_the_package in ["doc/era/changelog.Debian.gz", "doc/era/copyright", "lintian/overrides/era"] {
        wanted.insert(format!("-rw-r--r-- usr/share/{of_the_package}"));
    }
    assert!(listed == wanted, "{:#?}", listed.symmetric_difference(&wanted));

    let field = |name: &str| {
        let out = Command::new("dpkg-deb").arg("-f").arg(&deb).arg(name).output().unwrap();
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(field("Version"), format!("{}-1", version()));
    let depends = field("Depends");
    for library in ["dmsetup", "udev", "libblkid1 (>= ", "libc6 (>= "] {
        assert!(depends.contains(library), "{depends}");
    }
    let control = output("dpkg-deb", &["--ctrl-tarfile"], &deb);
    for script in ["postinst", "prerm", "postrm", "activate-noawait update-initramfs"] {
        assert!(control.contains(script), "{script}");
    }
    // The program under test is linked to one place, so that it starts sooner (build.rs); one that is released is not.
    let linked = "--suppress-tags=hardening-no-pie";
    let said = output("lintian", &["--allow-root", "--fail-on", "error,warning", linked], &deb);
    assert_eq!(said, "");
}

#[test]
fn a_package_for_fedora() {
    if !oracle_program::available("rpmbuild", "rpm") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let rpm = installed::package(&installed::project(dir.path()), "package-rpm", "rpm");
    let format = "--qf=[%{FILEMODES:perms} %{FILENAMES} %{FILELINKTOS}\n]";
    let listed: BTreeSet<_> = output("rpm", &["-qp", format], &rpm)
        .lines()
        .filter(|line| !line.starts_with('d'))
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let path = words[1].trim_start_matches('/');
            match words.get(2) {
                Some(to) => format!("{} {path} -> {to}", words[0]),
                None => uncompressed(&format!("{} {path}", words[0])),
            }
        })
        .collect();
    let mut wanted = expected(dir.path(), "share/zsh/site-functions");
    // Debian's.
    wanted.retain(|line| !line.contains("share/initramfs-tools"));
    for of_the_package in ["doc/era/CHANGELOG.md", "licenses/era/LICENSE"] {
        wanted.insert(format!("-rw-r--r-- usr/share/{of_the_package}"));
    }
    assert!(listed == wanted, "{:#?}", listed.symmetric_difference(&wanted));
    assert_eq!(output("rpm", &["-qp", "--qf=%{VERSION}"], &rpm), version());
    let scripts = output("rpm", &["-qp", "--scripts"], &rpm);
    for part in ["postinstall", "preuninstall", "/usr/lib/era/refuse-removal || exit 1", "postuninstall"] {
        assert!(scripts.contains(part), "{scripts}");
    }
    let requires = output("rpm", &["-qp", "--requires"], &rpm);
    for part in ["device-mapper", "systemd-udev", "libblkid.so.1"] {
        assert!(requires.contains(part), "{requires}");
    }
}

#[test]
fn versions_are_the_same_everywhere() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let changelog = fs::read_to_string(project.join("dist/debian/changelog")).unwrap();
    assert!(changelog.starts_with(&format!("era ({}-1) ", version())), "{changelog}");
    let spec = fs::read_to_string(project.join("dist/rpm/era.spec")).unwrap();
    assert!(spec.lines().any(|line| line.split_whitespace().eq(["Version:", version()])), "{spec}");
}

/// Of a table that needs the program at boot, its removal is refused; of others it is not.
#[test]
fn what_the_system_starts_from_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("eratab");
    let script =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/refuse-removal")).unwrap();
    // Its own table, and no devices: those of the machine are none of the test's business.
    let script = script.replace("/etc/eratab", table.to_str().unwrap()).replace("/sys/block", "/nowhere");
    for (text, refused) in [
        ("", None),
        ("# root a b x-initrd.attach\nvol /dev/a /dev/b noauto\nold a b noauto,x-initrd.attachment\n", None),
        ("root PARTUUID=1 PARTUUID=2 discards,x-initrd.attach,nofail\n", Some("root")),
        ("  usr\ta\tb\tx-initrd.attach # not a comment\n", Some("usr")),
    ] {
        fs::write(&table, text).unwrap();
        let out = Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        match refused {
            None => assert_eq!((out.status.code(), said.as_str()), (Some(0), "")),
            Some(name) => {
                assert_eq!(out.status.code(), Some(1), "{said}");
                assert!(said.contains(&format!("would not without era: {name}\n")), "{said}");
            }
        }
    }
    // Closed, but opened at boot as long as the program is there.
    fs::write(&table, "vol /dev/a /dev/b\nother /dev/c /dev/d nofail\nthird /dev/e /dev/f noauto\n").unwrap();
    let out = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert!(
        said.contains("warning: nothing opens these at boot any more; see to /etc/fstab: vol other\n"),
        "{said}"
    );
}
