// SPDX-License-Identifier: GPL-3.0-or-later
//! Who runs what. A command counts as run when a script of a test runs the same command with at least the same options, on
//! its own devices and paths; what scripts do not run, `elsewhere.txt` has.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;

use crate::commands::PROGRAMS;
use crate::texts::{files, root};

/// A command and the options that it is called with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature {
    pub command: String,
    pub flags: BTreeSet<String>,
}

impl Signature {
    /// The classic tools are the same program as the commands.
    pub fn new(command: &str, flags: BTreeSet<String>) -> Self {
        Self { command: command.strip_prefix("era_").unwrap_or(command).to_owned(), flags }
    }
}

/// Where a command that no script runs is dealt with.
#[derive(Debug)]
struct Elsewhere {
    line: String,
    /// Words that such a command begins with, and options that it has.
    command: Vec<String>,
    /// A test, by its files, or why there is none.
    by: String,
}

pub struct Evidence {
    run: BTreeSet<Signature>,
    elsewhere: Vec<Elsewhere>,
    used: RefCell<BTreeSet<String>>,
    targets: BTreeSet<String>,
}

impl Evidence {
    pub fn gather() -> Self {
        let mut run = BTreeSet::new();
        for directory in ["tests/kernel/scenarios", "tests/kernel/lib", "tests/system", "demo"] {
            for path in files(directory, "sh") {
                run.extend(of_script(&fs::read_to_string(path).unwrap()));
            }
        }
        let elsewhere = fs::read_to_string(root().join("tests/manuals/elsewhere.txt")).unwrap();
        let elsewhere = elsewhere.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let elsewhere = elsewhere
            .map(|line| {
                let (command, by) = line.split_once(" : ").unwrap_or_else(|| panic!("{line}: who runs it?"));
                Elsewhere {
                    line: line.to_owned(),
                    command: command.split_whitespace().map(String::from).collect(),
                    by: by.trim().to_owned(),
                }
            })
            .collect();
        let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
        let targets =
            makefile.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_owned());
        Self { run, elsewhere, used: RefCell::default(), targets: targets.collect() }
    }

    /// Whether something runs a command of ours.
    pub fn runs(&self, wanted: &Signature) -> bool {
        let is_run =
            self.run.iter().any(|run| run.command == wanted.command && run.flags.is_superset(&wanted.flags));
        is_run
            || self.elsewhere(|words| {
                let flags: BTreeSet<_> =
                    words[1..].iter().filter(|word| word.starts_with("--")).cloned().collect();
                words[0] == "era" && words.get(1) == Some(&wanted.command) && flags == wanted.flags
            })
    }

    /// Whether a command of somebody else is one that may be written about.
    pub fn knows_foreign(&self, words: &[String]) -> bool {
        if words[0] == "make" {
            return words[1..]
                .iter()
                .filter(|word| !word.contains('='))
                .all(|word| self.targets.contains(word));
        }
        self.elsewhere(|known| words.starts_with(known))
    }

    fn elsewhere(&self, fits: impl Fn(&[String]) -> bool) -> bool {
        let found = self.elsewhere.iter().find(|entry| fits(&entry.command));
        self.used.borrow_mut().extend(found.map(|entry| entry.line.clone()));
        found.is_some()
    }

    /// Lines of `elsewhere.txt` that nothing asked for, or whose test does not have what they say.
    pub fn stale(&self) -> Vec<&str> {
        let used = self.used.borrow();
        let is_stale = |entry: &&Elsewhere| !used.contains(&entry.line) || !entry.is_true();
        self.elsewhere.iter().filter(is_stale).map(|entry| entry.line.as_str()).collect()
    }
}

impl Elsewhere {
    /// A test that is named has the words of the command; a reason is believed.
    fn is_true(&self) -> bool {
        if self.by.starts_with("not run: ") {
            return true;
        }
        let tests = self.by.split(' ').map(|path| fs::read_to_string(root().join(path)));
        let Ok(test) = tests.collect::<Result<String, _>>() else { return false };
        let skipped = usize::from(self.command[0] == "era");
        self.command[skipped..].iter().all(|word| test.contains(word.as_str()))
    }
}

/// The commands of ours in a shell script.
fn of_script(text: &str) -> Vec<Signature> {
    let mut found = Vec::new();
    for line in text.replace("\\\n", " ").lines().filter(|line| !line.trim_start().starts_with('#')) {
        let mut line = line.to_owned();
        for separator in ["&&", "||", "|", ";", "$(", ")", "&"] {
            line = line.replace(separator, " \n ");
        }
        for part in line.split('\n') {
            let words: Vec<_> =
                part.split([' ', '"', '\'', '(', '{']).filter(|word| !word.is_empty()).collect();
            let Some(at) = words.iter().position(|word| PROGRAMS.contains(word)) else { continue };
            let (command, rest) = match (words[at], words.get(at + 1)) {
                ("era", Some(command)) => (*command, &words[at + 2..]),
                ("era", None) => continue,
                (program, _) => (program, &words[at + 1..]),
            };
            let flags = rest.iter().filter(|word| word.starts_with("--"));
            let flags = flags.map(|word| word.split('=').next().unwrap_or(word).to_owned()).collect();
            found.push(Signature::new(command, flags));
        }
    }
    found
}
