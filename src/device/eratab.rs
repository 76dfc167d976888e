// SPDX-License-Identifier: GPL-3.0-or-later
//! /etc/eratab: which tracked devices there are. Fields and options are after crypttab(5) and veritytab(5).
//!
//! ```text
//! # name  data device     metadata device  options
//! root    PARTUUID=...    PARTUUID=...     x-initrd.attach
//! ```
//!
//! A bad line does not spoil the others: it is reported with its number, and they are used.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

use super::header::StableId;
use super::identity::{self, PARTUUID};

/// Where the table is.
pub const PATH: &str = "/etc/eratab";

/// The longest name: device-mapper takes 127 bytes, and our layers add up to five.
const MAX_NAME: usize = 122;

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the tracked device.
    pub name: Name,
    /// The data device.
    pub data: DeviceSpec,
    /// The metadata device.
    pub metadata: DeviceSpec,
    /// How to open it.
    pub options: Options,
}

/// The name of a tracked device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// A text that does not fit where it stands.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Unfit(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "#+-.:=@_".contains(c);
        let problem = if text.is_empty() || text.len() > MAX_NAME {
            format!("has {} characters, must have 1 to {MAX_NAME}", text.len())
        } else if let Some(bad) = text.chars().find(|&c| !allowed(c)) {
            format!("has {bad:?} in it; letters, digits and #+-.:=@_ are allowed")
        } else if text.starts_with(['-', '#', '.']) {
            "must not begin with '-', '#' or '.'".into()
        } else {
            return Ok(Self(text.into()));
        };
        Err(Unfit(format!("the name {text:?} {problem}")))
    }
}

/// How a device is named: a path or a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceSpec {
    /// An absolute path.
    Path(PathBuf),
    /// A tag and its value: UUID, LABEL, PARTUUID or PARTLABEL.
    Tag(Tag, String),
}

/// What a device can be known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Of its filesystem.
    Uuid,
    /// Of its filesystem.
    Label,
    /// Of its partition.
    PartUuid,
    /// Of its partition.
    PartLabel,
}

const TAGS: [(Tag, &str); 4] =
    [(Tag::Uuid, "UUID"), (Tag::Label, "LABEL"), (Tag::PartUuid, "PARTUUID"), (Tag::PartLabel, "PARTLABEL")];

impl Tag {
    fn name(self) -> &'static str {
        TAGS.iter().find(|(tag, _)| *tag == self).map_or("", |(_, name)| name)
    }
}

impl DeviceSpec {
    /// The path of the device that is meant; libblkid looks a tag up, in /dev/disk where udev runs, by itself elsewhere.
    pub fn resolve(&self) -> anyhow::Result<PathBuf> {
        match self {
            DeviceSpec::Path(path) => Ok(path.clone()),
            DeviceSpec::Tag(tag, value) => {
                let found = match tag {
                    Tag::PartUuid => {
                        identity::find(&StableId { kind: PARTUUID.into(), value: value.clone() })
                    }
                    _ => libblkid_rs::evaluate_tag(tag.name(), value, None).ok(),
                };
                let path = found
                    .filter(|path| !path.as_os_str().is_empty())
                    .with_context(|| format!("{self}: no such device; blkid lists what there is"))?;
                identity::below_our_layers(path)
            }
        }
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceSpec::Path(path) => write!(f, "{}", path.display()),
            DeviceSpec::Tag(tag, value) => write!(f, "{}={value}", tag.name()),
        }
    }
}

impl FromStr for DeviceSpec {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        if text.starts_with('/') {
            return Ok(DeviceSpec::Path(text.into()));
        }
        let tag = text.split_once('=').and_then(|(name, value)| {
            let (tag, _) = TAGS.iter().find(|(_, tag)| *tag == name)?;
            // Quotes as in fstab(5).
            let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
            (!value.is_empty()).then(|| DeviceSpec::Tag(*tag, value.into()))
        });
        tag.ok_or_else(|| {
            Unfit(format!("{text:?} is neither an absolute path nor UUID=, LABEL=, PARTUUID= or PARTLABEL="))
        })
    }
}

/// The fourth field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Pass discards on to the data device.
    pub discards: bool,
    /// Leave it out of `era open --all`.
    pub noauto: bool,
    /// A failure does not fail `era open --all`.
    pub nofail: bool,
    /// Open it in the initramfs.
    pub initrd_attach: bool,
    /// Options of other programs, which begin with `x-`.
    pub others: Vec<String>,
}

impl FromStr for Options {
    type Err = Unfit;

    fn from_str(text: &str) -> Result<Self, Unfit> {
        let mut options = Self::default();
        for option in text.split(',').filter(|option| !["", "-", "none"].contains(option)) {
            match option {
                "discards" => options.discards = true,
                "noauto" => options.noauto = true,
                "nofail" => options.nofail = true,
                "x-initrd.attach" => options.initrd_attach = true,
                other if other.starts_with("x-") => options.others.push(other.into()),
                other => {
                    return Err(Unfit(format!(
                        "the option {other:?} is not one of discards, noauto, nofail, x-initrd.attach"
                    )));
                }
            }
        }
        Ok(options)
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = [
            (self.discards, "discards"),
            (self.noauto, "noauto"),
            (self.nofail, "nofail"),
            (self.initrd_attach, "x-initrd.attach"),
        ];
        let options: Vec<&str> = known
            .iter()
            .filter_map(|(set, name)| set.then_some(*name))
            .chain(self.others.iter().map(String::as_str))
            .collect();
        f.write_str(if options.is_empty() { "-".into() } else { options.join(",") }.as_str())
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}\t{}\t{}", self.name, self.data, self.metadata, self.options)
    }
}

impl FromStr for Entry {
    type Err = Unfit;

    fn from_str(line: &str) -> Result<Self, Unfit> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [name, data, metadata, ref rest @ ..] = fields[..] else {
            return Err(Unfit("must have a name, a data device and a metadata device".into()));
        };
        let options = match rest {
            [] => Options::default(),
            [options] => options.parse()?,
            _ => return Err(Unfit(format!("has {} fields, must have 3 or 4", fields.len()))),
        };
        Ok(Self { name: name.parse()?, data: data.parse()?, metadata: metadata.parse()?, options })
    }
}

/// The whole table.
#[derive(Debug, Default)]
pub struct Table {
    /// What the good lines say.
    pub entries: Vec<Entry>,
    /// What is wrong with the others: number of the line, and what.
    pub problems: Vec<(usize, Unfit)>,
}

impl Table {
    /// The entry of a device.
    pub fn find(&self, name: &Name) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == *name)
    }
}

/// Reads a table from its text.
pub fn parse(text: &str) -> Table {
    let mut table = Table::default();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !is_blank(line)) {
        match line.parse::<Entry>() {
            Ok(entry) if table.find(&entry.name).is_some() => {
                let problem = format!("the name {} stands on an earlier line, too", entry.name);
                table.problems.push((number, Unfit(problem)));
            }
            Ok(entry) => table.entries.push(entry),
            Err(problem) => table.problems.push((number, problem)),
        }
    }
    table
}

/// Reads a table from its file; a missing file is an empty table.
pub fn read(path: &Path) -> anyhow::Result<Table> {
    Ok(parse(&read_text(path)?))
}

/// Adds a line; an earlier one of that name is an error.
pub fn add(path: &Path, entry: &Entry) -> anyhow::Result<()> {
    edit(path, |text| {
        if parse(text).find(&entry.name).is_some() {
            bail!("{}: {} is there already", path.display(), entry.name);
        }
        let header = if text.is_empty() {
            "# name\tdata device\tmetadata device\toptions; see eratab(5)\n"
        } else {
            ""
        };
        let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        Ok(format!("{text}{newline}{header}{entry}\n"))
    })
}

/// Takes the line of a device out; everything else stays as it is, to the byte.
pub fn remove(path: &Path, name: &Name) -> anyhow::Result<()> {
    edit(path, |text| {
        let is_other =
            |line: &&str| is_blank(line) || line.split_ascii_whitespace().next() != Some(name.as_str());
        Ok(text.split_inclusive('\n').filter(is_other).collect())
    })
}

fn is_blank(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        result => result.with_context(|| format!("{}: cannot read", path.display())),
    }
}

/// Replaces the file at once and for good, or leaves it as it is. Two edits at a time follow one another: the lock is on
/// the directory, as the file itself is replaced.
fn edit(path: &Path, change: impl FnOnce(&str) -> anyhow::Result<String>) -> anyhow::Result<()> {
    // A link to the real file, as some people keep in /etc, stays one.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let replace = || -> anyhow::Result<()> {
        let lock = File::open(directory)?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let old = read_text(path)?;
        let new = change(&old)?;
        if new == old {
            return Ok(());
        }
        let temporary = path.with_extension("new");
        let mut file = File::create(&temporary)?;
        file.write_all(new.as_bytes())?;
        if let Ok(metadata) = fs::metadata(path) {
            file.set_permissions(metadata.permissions())?;
        }
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        Ok(lock.sync_all()?)
    };
    replace().with_context(|| format!("{}: cannot change", path.display()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_round_trip() {
        for line in [
            "root\tPARTUUID=ca313f78-02\tPARTUUID=be47b5e2-01\tx-initrd.attach",
            "vm1\t/dev/vg/vm1\t/dev/vg/vm1-meta\t-",
            "a:b\tLABEL=data\tUUID=1234-5678\tdiscards,noauto,nofail,x-other=1",
        ] {
            assert_eq!(line.parse::<Entry>().unwrap().to_string(), line);
        }
    }

    #[test]
    fn a_bad_line_leaves_the_others() {
        let table = parse(
            "# comment\n\n a /dev/a /dev/b\nb /dev/c\n\tc UUID=\"x\" /dev/d none\nc /dev/e /dev/f\nd e /dev/f\n\
             e /dev/g /dev/h fast\nf /dev/i /dev/j - x\n/g /dev/k /dev/l\n",
        );
        let names: Vec<_> = table.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        let problems: Vec<_> = table.problems.iter().map(|(line, e)| format!("{line}: {e}")).collect();
        for (problem, says) in problems.iter().zip([
            "4: must have a name",
            "6: the name c stands on an earlier line",
            "7: \"e\" is neither",
            "8: the option \"fast\"",
            "9: has 5 fields",
            "10: the name \"/g\" has '/'",
        ]) {
            assert!(problem.starts_with(says), "{problem}");
        }
        assert_eq!(problems.len(), 6);
    }

    #[test]
    fn names_that_cannot_be() {
        for bad in ["", "-x", "#x", "..", "a b", "a/b", "ä", &"x".repeat(123)] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(122).parse::<Name>().is_ok());
    }

    #[test]
    fn edits_change_one_line_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("eratab");
        let entry: Entry = "vm1 /dev/a /dev/b".parse().unwrap();
        add(&path, &entry).unwrap();
        assert_eq!(read(&path).unwrap().entries, std::slice::from_ref(&entry));
        assert!(add(&path, &entry).is_err());

        let odd = "# mine\nvm0   /dev/x\t/dev/y\nbroken\nvm1 /dev/a /dev/b";
        fs::write(&path, odd).unwrap();
        add(&path, &"vm2 /dev/c /dev/d noauto".parse().unwrap()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{odd}\nvm2\t/dev/c\t/dev/d\tnoauto\n"));
        remove(&path, &"vm1".parse().unwrap()).unwrap();
        let left = "# mine\nvm0   /dev/x\t/dev/y\nbroken\nvm2\t/dev/c\t/dev/d\tnoauto\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), left);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a temporary file is left");
    }

    #[test]
    fn links_and_modes_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("eratab"));
        fs::write(&real, "").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real", &link).unwrap();
        add(&link, &"vm1 /dev/a /dev/b".parse().unwrap()).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(read(&link).unwrap().entries.len(), 1);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~\n\t]{0,200}") {
            let table = parse(&text);
            prop_assert!(table.entries.len() + table.problems.len() <= text.lines().count());
        }
    }
}
