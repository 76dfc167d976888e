// SPDX-License-Identifier: GPL-3.0-or-later
//! The short names that stand for paths in the commands, so that the table can print what was run, and what the commands find in
//! their environment.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

#[derive(Clone, Default)]
pub struct Names {
    paths: HashMap<&'static str, PathBuf>,
    environment: Vec<(&'static str, OsString)>,
}

impl Names {
    pub fn with(&self, name: &'static str, path: impl Into<PathBuf>) -> Self {
        let mut names = self.clone();
        names.paths.insert(name, path.into());
        names
    }

    pub fn with_variable(&self, name: &'static str, value: impl Into<OsString>) -> Self {
        let mut names = self.clone();
        names.environment.push((name, value.into()));
        names
    }

    pub fn environment(&self) -> &[(&'static str, OsString)] {
        &self.environment
    }

    pub fn path(&self, name: &str) -> Option<&Path> {
        self.paths.get(name).map(PathBuf::as_path)
    }

    /// Whether a program can be started: one of ours, or one that is installed.
    pub fn has_program(&self, name: &str) -> bool {
        let installed = |dir: PathBuf| dir.join(name).is_file();
        self.paths.contains_key(name)
            || std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(installed))
    }

    /// A word of a command: a name, a word like `if=NAME`, or anything else, which stands for itself.
    pub fn resolve(&self, word: &str) -> OsString {
        let (key, name) = word.split_once('=').map_or(("", word), |(key, name)| (key, name));
        match self.path(name) {
            Some(path) if key.is_empty() => path.into(),
            Some(path) => {
                let mut word = OsString::from(key);
                word.push("=");
                word.push(path);
                word
            }
            None => word.into(),
        }
    }
}
