// SPDX-License-Identifier: GPL-3.0-or-later
//! Runs `era changed` on a metadata image, with limits on time and memory, and reads what it prints.
#![allow(dead_code)] // each test target uses its own part of this

use std::path::Path;
use std::process::{Command, Output};

pub type Runs = Vec<(u64, u64)>;

pub struct Answer {
    /// None: killed by a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the program with `more` arguments after the usual ones.
///
/// A hang becomes exit code 124, from timeout(1). The memory limit is on data, not on address space: an allocator's
/// reservations are no harm, and grow with the number of processors. 5 million blocks fit into it with ease.
pub fn era_changed(image: &Path, since: u32, more: &[&str]) -> Answer {
    let output = Command::new("timeout")
        .args(["20", "prlimit", "--data=134217728", "--core=0", env!("CARGO_BIN_EXE_era"), "changed"])
        .arg("--metadata")
        .arg(image)
        .args(["--since", &since.to_string()])
        .args(more)
        .output()
        .expect("timeout(1) and prlimit(1) are there");
    Answer::from(output)
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8 on stdout"),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Answer {
    /// The stdout of a run that went well and had nothing to complain about.
    #[track_caller]
    pub fn success(self) -> String {
        assert!(self.code == Some(0), "exit {:?}: {}", self.code, self.stderr);
        assert!(self.stderr.is_empty(), "exit 0, but on stderr: {}", self.stderr);
        self.stdout
    }
}

/// Reads `--format runs`; an error where it is not a list of ascending runs with a gap between each two.
pub fn parse_runs(text: &str) -> Result<Runs, String> {
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    let mut runs: Runs = Vec::new();
    for line in text.lines() {
        let run =
            line.split_once(' ').and_then(|(begin, end)| Some((begin.parse().ok()?, end.parse().ok()?)));
        let (begin, end) = run.ok_or_else(|| format!("not BEGIN END: {line:?}"))?;
        let after_a_gap = runs.last().is_none_or(|last| last.1 < begin);
        if begin >= end || !after_a_gap {
            return Err(format!("{line:?} after {:?}", runs.last()));
        }
        runs.push((begin, end));
    }
    Ok(runs)
}

/// Reads the list of era_invalidate, 0.9 or 1.x: the numbers in quotes, one of a block, two of a range.
pub fn parse_xml(text: &str) -> Runs {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("<blocks>"), "{text}");
    assert_eq!(lines.next_back(), Some("</blocks>"), "{text}");
    let number = |text: &&str| text.parse::<u64>().expect("a number in quotes");
    lines
        .map(|line| {
            let quoted: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
            match quoted.as_slice() {
                [block] => (number(block), number(block) + 1),
                [begin, end] => (number(begin), number(end)),
                _ => panic!("neither block nor range: {line}"),
            }
        })
        .collect()
}

/// The list as era_invalidate 1.x writes it.
pub fn to_xml(runs: &Runs) -> String {
    let lines = runs.iter().map(|&(begin, end)| match end - begin {
        1 => format!("  <block block=\"{begin}\"/>\n"),
        _ => format!("  <range begin=\"{begin}\" end=\"{end}\"/>\n"),
    });
    format!("<blocks>\n{}</blocks>\n", lines.collect::<String>())
}
