// SPDX-License-Identifier: GPL-3.0-or-later
//! The lines that must change for a machine to start with a tracked device in place of the raw one, and how to change
//! them back.
//!
//! Edits are of whole lines, so that taking them back changes those lines and nothing else, whatever happened to the rest
//! of the file meanwhile. A line that somebody has changed since is left alone, and told of.

use serde::{Deserialize, Serialize};

/// The names of a device: what stands in files today, and what is to stand there.
#[derive(Clone, Debug)]
pub struct Names {
    /// All spellings of the raw device: paths and tags.
    pub raw: Vec<String>,
    /// The path of the tracked one.
    pub tracked: String,
}

/// The change of one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Edit {
    /// One line in place of another.
    Replace {
        /// The line of before.
        old: String,
        /// The line of now.
        new: String,
    },
    /// A line at the end of the file.
    Append(String),
}

impl Names {
    /// Whether a word is the raw device, in quotes or not.
    fn is_raw(&self, word: &str) -> bool {
        let bare = word.replace('"', "");
        self.raw.contains(&bare)
    }
}

/// What must change in fstab(5): the first field.
pub fn fstab(text: &str, names: &Names) -> Vec<Edit> {
    replace(text, |line| {
        let begin = line.len() - line.trim_start().len();
        let word = line.split_ascii_whitespace().next()?;
        let rest = line.get(begin + word.len()..)?;
        names
            .is_raw(word)
            .then(|| format!("{}{}{rest}", line.get(..begin).unwrap_or_default(), names.tracked))
    })
}

/// What must change in a kernel's command line: in /etc/kernel/cmdline, or in the options of a boot loader's entry.
pub fn command_line(text: &str, names: &Names) -> Vec<Edit> {
    replace(text, |line| {
        let is_raw = |word: &str| word.strip_prefix("root=").is_some_and(|device| names.is_raw(device));
        let words: Vec<String> = line
            .split(' ')
            .map(|word| if is_raw(word) { format!("root={}", names.tracked) } else { word.into() })
            .collect();
        let new = words.join(" ");
        (!line.starts_with('#') && new != line).then_some(new)
    })
}

/// What must change in /etc/default/grub, a shell script: one more `root=`, as GRUB itself writes one of the device that /
/// is on while it looks, and the last one counts.
pub fn grub(text: &str, names: &Names) -> Vec<Edit> {
    let line = format!("GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX root={}\" # by era create", names.tracked);
    if text.lines().any(|existing| existing == line) { Vec::new() } else { vec![Edit::Append(line)] }
}

fn replace(text: &str, change: impl Fn(&str) -> Option<String>) -> Vec<Edit> {
    let edit = |line: &str| change(line).map(|new| Edit::Replace { old: line.into(), new });
    text.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(edit).collect()
}

/// The text with edits made.
pub fn apply(text: &str, edits: &[Edit]) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(String::from).collect();
    for edit in edits {
        match edit {
            Edit::Replace { old, new } => {
                put(&mut lines, old, Some(new));
            }
            Edit::Append(new) => {
                if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
                    last.push('\n');
                }
                lines.push(format!("{new}\n"));
            }
        }
    }
    lines.concat()
}

/// The word `root=` of before, where an edit replaced it by that of the tracked device.
pub fn old_root<'a>(edits: impl IntoIterator<Item = &'a Edit>, tracked: &str) -> Option<String> {
    let word = format!("root={tracked}");
    edits.into_iter().find_map(|edit| {
        let Edit::Replace { old, new } = edit else { return None };
        let mut words = new.split(' ').zip(old.split(' '));
        words.find(|(new, _)| *new == word).map(|(_, old)| old.to_owned())
    })
}

/// A kernel's command line, or a boot loader's entry, with another word in the place of the `root=` of the tracked device.
pub fn with_root(text: &str, tracked: &str, root: &str) -> String {
    let word = format!("root={tracked}");
    let line = |line: &str| -> String {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        let words: Vec<&str> = line.split(' ').map(|one| if one == word { root } else { one }).collect();
        words.join(" ") + end
    };
    text.split_inclusive('\n').map(line).collect()
}

/// The text with edits taken back, and the lines that are not there any more, nor what stood there before.
pub fn take_back(text: &str, edits: &[Edit]) -> (String, Vec<String>) {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(String::from).collect();
    let mut missing = Vec::new();
    for edit in edits {
        let (new, old) = match edit {
            Edit::Replace { old, new } => (new, Some(old.as_str())),
            Edit::Append(new) => (new, None),
        };
        let is_as_before = |lines: &[String]| old.is_some_and(|old| lines.iter().any(|line| says(line, old)));
        if !put(&mut lines, new, old) && !is_as_before(&lines) {
            missing.push(new.clone());
        }
    }
    (lines.concat(), missing)
}

/// Puts one line in the place of the last that says this; `None` takes it out. Whether there was one.
fn put(lines: &mut Vec<String>, this: &str, that: Option<&str>) -> bool {
    let Some(at) = lines.iter().rposition(|line| says(line, this)) else { return false };
    let end = if lines[at].ends_with('\n') { "\n" } else { "" };
    match that {
        Some(that) => lines[at] = format!("{that}{end}"),
        None => drop(lines.remove(at)),
    }
    true
}

fn says(line: &str, this: &str) -> bool {
    line.strip_suffix('\n').unwrap_or(line) == this
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let raw = ["/dev/vda1", "UUID=1-2", "PARTUUID=p-1", "/dev/disk/by-uuid/1-2"].map(String::from).into();
        Names { raw, tracked: "/dev/mapper/root".into() }
    }

    /// Makes the edits, and sees that taking them back gives what was there.
    fn changed(text: &str, edits: &[Edit]) -> String {
        let new = apply(text, edits);
        assert_eq!(take_back(&new, edits), (text.into(), vec![]));
        new
    }

    #[test]
    fn fstab_by_any_name() {
        let text = "# UUID=1-2 was here\nUUID=\"1-2\" /  ext4\tro 0 1\n\n  /dev/vda1 /mnt/x\nUUID=1-23 /a\n/dev/vda12 /b\nPARTUUID=p-1 /c";
        assert_eq!(
            changed(text, &fstab(text, &names())),
            "# UUID=1-2 was here\n/dev/mapper/root /  ext4\tro 0 1\n\n  /dev/mapper/root /mnt/x\nUUID=1-23 /a\n/dev/vda12 /b\n\
             /dev/mapper/root /c"
        );
    }

    #[test]
    fn command_lines() {
        let text =
            "title root=UUID=x\noptions  root=UUID=1-2 ro  resume=UUID=1-2 quiet\n#options root=UUID=1-2\n";
        assert_eq!(
            changed(text, &command_line(text, &names())),
            "title root=UUID=x\noptions  root=/dev/mapper/root ro  resume=UUID=1-2 quiet\n#options root=UUID=1-2\n"
        );
        assert_eq!(command_line("root=UUID=other ro", &names()), []);
    }

    #[test]
    fn entries_that_came_later_get_the_root_of_before() {
        let edits = command_line("options ro root=UUID=1-2 quiet\n", &names());
        let tracked = "/dev/mapper/root";
        let root = old_root(&edits, tracked).unwrap();
        assert_eq!(root, "root=UUID=1-2");
        assert_eq!(old_root(&edits, "/dev/mapper/roo"), None);
        assert_eq!(old_root(&grub("", &names()), tracked), None);
        let later = "title b\noptions root=/dev/mapper/root ro\noptions root=/dev/mapper/root2 a\n";
        let expected = "title b\noptions root=UUID=1-2 ro\noptions root=/dev/mapper/root2 a\n";
        assert_eq!(with_root(later, tracked, &root), expected);
        assert_eq!(with_root("ro root=/dev/mapper/root", tracked, &root), "ro root=UUID=1-2");
    }

    #[test]
    fn what_is_as_before_is_not_missed() {
        let text = "UUID=1-2 / ext4\n";
        let edits = fstab(text, &names());
        assert_eq!(take_back(text, &edits), (text.into(), vec![]));
    }

    #[test]
    fn grub_gets_one_more_line_and_only_once() {
        let text = "GRUB_CMDLINE_LINUX=\"quiet\"\n";
        let new = changed(text, &grub(text, &names()));
        assert_eq!(
            new,
            "GRUB_CMDLINE_LINUX=\"quiet\"\n\
             GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX root=/dev/mapper/root\" # by era create\n"
        );
        assert_eq!(grub(&new, &names()), []);
    }

    #[test]
    fn what_others_changed_meanwhile_stays() {
        let text = "UUID=1-2 / ext4\n";
        let edits = fstab(text, &names());
        let by_others = "# mine\n/dev/mapper/root / ext4\n/dev/x /x\n";
        assert_eq!(take_back(by_others, &edits), ("# mine\nUUID=1-2 / ext4\n/dev/x /x\n".into(), vec![]));
        let lost = "/dev/mapper/root / ext4 noatime\n";
        assert_eq!(take_back(lost, &edits), (lost.into(), vec!["/dev/mapper/root / ext4".into()]));
    }
}
