// SPDX-License-Identifier: GPL-3.0-or-later
//! The pages that are installed: well-formed, complete, and without references to pages that there are not.

#[path = "../common/installed.rs"]
mod installed;
#[path = "../common/oracle_program.rs"]
mod oracle_program;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::texts;

/// Pages of others that ours refer to.
const FOREIGN: [&str; 15] = [
    "blkid(8)",
    "crypttab(5)",
    "dmsetup(8)",
    "flock(2)",
    "fstab(5)",
    "kernel-command-line(7)",
    "ssh_config(5)",
    "sshd(8)",
    "syslog(3)",
    "systemd(1)",
    "systemd-shutdown(8)",
    "systemd.generator(7)",
    "systemd.timer(5)",
    "veritytab(5)",
    "authorized_keys(5)",
];

/// What linters say of what clap_mangen and mdoc's habits make of good pages.
const TOLERATED: [&str; 3] = ["missing date", "br before sp", "br after sp"];

fn pages() -> (TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let man = installed::install(dir.path(), "/usr").join("usr/share/man");
    let mut pages = Vec::new();
    for section in ["man5", "man8"] {
        pages.extend(fs::read_dir(man.join(section)).unwrap().map(|entry| entry.unwrap().path()));
    }
    pages.sort();
    (dir, pages)
}

fn name(page: &std::path::Path) -> String {
    let file = page.file_name().unwrap().to_str().unwrap();
    let (name, section) = file.rsplit_once('.').unwrap();
    format!("{name}({section})")
}

#[test]
fn linters_have_nothing_to_say() {
    if !oracle_program::available("mandoc", "mandoc") || !oracle_program::available("groff", "groff") {
        return;
    }
    let (_dir, pages) = pages();
    for page in &pages {
        if name(page) == "era-shutdown(8)" {
            assert_eq!(fs::read_to_string(page).unwrap(), ".so man8/era-generator.8\n");
            continue;
        }
        let lint = Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(page).output().unwrap();
        let said = String::from_utf8(lint.stdout).unwrap();
        let said: Vec<_> =
            said.lines().filter(|line| !TOLERATED.iter().any(|known| line.contains(known))).collect();
        assert!(said.is_empty(), "{}", said.join("\n"));
        let groff = Command::new("groff")
            .args(["-ww", "-b", "-z", "-t", "-mandoc", "-Tutf8", "-Kutf8"])
            .arg("-I")
            .arg(page.parent().unwrap().parent().unwrap())
            .arg(page)
            .output()
            .unwrap();
        assert!(
            groff.status.success() && groff.stderr.is_empty(),
            "{}: {}",
            page.display(),
            String::from_utf8_lossy(&groff.stderr)
        );
    }
}

#[test]
fn every_command_has_a_page_and_is_in_the_overview() {
    let (_dir, pages) = pages();
    let names: BTreeSet<_> = pages.iter().map(|page| name(page)).collect();
    let overview = fs::read_to_string(texts::root().join("man/era.8")).unwrap();
    let era = era::cli::definition("era").unwrap();
    for command in era.get_subcommands().filter(|command| !command.is_hide_set()) {
        let page = format!("era-{}", command.get_name());
        assert!(names.contains(&format!("{page}(8)")), "{page}");
        assert!(
            overview.contains(&format!(".It Xr {page} 8")) || overview.contains(&format!(", Xr {page} 8")),
            "{page}"
        );
    }
    for page in [
        "era(8)",
        "eratab(5)",
        "era-backup(5)",
        "era-repository(5)",
        "era-stream(5)",
        "era_copy(8)",
        "era_apply(8)",
    ] {
        assert!(names.contains(page), "{page}");
    }
    assert!(!names.contains("era-guardian(8)") && !names.contains("era-generate(8)"), "{names:?}");
}

#[test]
fn references_lead_to_pages() {
    let (_dir, pages) = pages();
    let mut known: BTreeSet<_> = pages.iter().map(|page| name(page)).collect();
    known.extend(FOREIGN.map(String::from));
    for page in &pages {
        let text =
            fs::read_to_string(page).unwrap().replace("\\-", "-").replace("\\fB", "").replace("\\fR", "");
        for line in text.lines() {
            if let Some((_, reference)) = line.split_once("Xr ") {
                let mut words = reference.split(' ');
                let reference =
                    format!("{}({})", words.next().unwrap(), words.next().unwrap_or("no section"));
                assert!(known.contains(&reference), "{}: {reference}", page.display());
            }
            for (at, _) in line.match_indices('(') {
                let section = line[at..].get(..3).unwrap_or_default();
                if section.ends_with(')') && section.as_bytes()[1].is_ascii_digit() {
                    let is_in_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                    let start = line[..at].rfind(|c| !is_in_name(c)).map_or(0, |found| found + 1);
                    let reference = &line[start..at + 3];
                    if start < at && reference.starts_with(|c: char| c.is_ascii_alphabetic()) {
                        assert!(known.contains(reference), "{}: {reference}", page.display());
                    }
                }
            }
        }
    }
}

/// All words of a specification are on its page.
#[test]
fn specifications_are_whole_on_their_pages() {
    if !oracle_program::available("mandoc", "mandoc") {
        return;
    }
    let (_dir, pages) = pages();
    for subject in ["stream", "repository"] {
        let page = pages.iter().find(|page| page.ends_with(format!("era-{subject}.5"))).unwrap();
        // So wide that no cell of a table is broken.
        let shown =
            Command::new("mandoc").args(["-T", "utf8", "-O", "width=1000"]).arg(page).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let mut plain = String::new();
        for c in shown.chars() {
            // Bold is a letter over itself.
            if c == '\u{8}' {
                plain.pop();
            } else {
                plain.push(c);
            }
        }
        let word = |c: char| !c.is_alphanumeric();
        let shown: BTreeSet<_> = plain.split(word).map(str::to_lowercase).collect();
        let text = fs::read_to_string(texts::root().join(format!("docs/{subject}.md"))).unwrap();
        let body = text.lines().filter(|line| !line.starts_with("<!--") && !line.starts_with("# "));
        for wanted in body.flat_map(|line| line.split(word)).map(str::to_lowercase) {
            assert!(shown.contains(&wanted) || wanted == "md", "{subject}: {wanted}");
        }
    }
}

#[test]
fn shells_can_read_the_completions() {
    let dir = tempfile::tempdir().unwrap();
    let share = installed::install(dir.path(), "/usr").join("usr/share");
    for (shell, directory, prefix) in [
        ("bash", "bash-completion/completions", ""),
        ("zsh", "zsh/site-functions", "_"),
        ("fish", "fish/vendor_completions.d", ""),
    ] {
        if !oracle_program::available(shell, shell) {
            continue;
        }
        let suffix = if shell == "fish" { ".fish" } else { "" };
        for program in ["era", "era_copy", "era_apply"] {
            let file = share.join(directory).join(format!("{prefix}{program}{suffix}"));
            let out = Command::new(shell).arg("-n").arg(&file).output().unwrap();
            assert!(out.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&out.stderr));
        }
    }
    let complete = "source $0; COMP_WORDS=(era re); COMP_CWORD=1; _era era re era; echo \"${COMPREPLY[*]}\"";
    let out = Command::new("bash")
        .args(["--norc", "-c", complete])
        .arg(share.join("bash-completion/completions/era"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "remove receive restore restrict\n");
}
