// SPDX-License-Identifier: GPL-3.0-or-later
//! Every command line is one that the program takes, and one that a test knows.

use std::collections::BTreeSet;

use clap::Command;

use crate::evidence::{Evidence, Signature};
use crate::texts::{self, Code};

/// The names that the program is called by.
pub const PROGRAMS: [&str; 3] = ["era", "era_copy", "era_apply"];

/// Words that stand for something.
const PLACEHOLDERS: [(&str, &str); 4] = [
    ("CURSOR", "11111111-2222-4333-8444-555555555555:12"),
    ("ERA", "12"),
    ("SECONDS", "5"),
    ("BLOCK_SIZE", "8"),
];

/// The commands in a piece of code, one after another, in pipes or behind ssh, as words.
fn commands(code: &Code) -> Vec<Vec<String>> {
    // What follows on the line for people.
    let mut line = code.text.as_str();
    for comment in ["   ", "  #", " # "] {
        line = line.split(comment).next().unwrap_or(line);
    }
    // A line of authorized_keys.
    if let Some((_, rest)) = line.split_once("command=\"") {
        line = rest.split('"').next().unwrap_or(rest);
    }
    // What another command prints is a cursor, everywhere.
    let mut commands = vec![Vec::new()];
    let mut line = line.to_owned();
    if let Some((before, rest)) = line.split_once("$(")
        && let Some((inner, after)) = rest.split_once(')')
    {
        commands = vec![inner.split(' ').map(String::from).collect(), Vec::new()];
        line = format!("{before}CURSOR{after}");
    }
    let Some(words) = shlex::split(&line.replace('\'', "")) else {
        panic!("{}: cannot be taken apart: {line}", code.place);
    };
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let current = commands.last_mut().expect("there is one");
        match word.as_str() {
            "|" | "&&" | ";" | "||" => commands.push(Vec::new()),
            "<" | ">" | ">>" => drop(words.next()),
            "sudo" if current.is_empty() => {}
            "ssh" if current.is_empty() => {
                // Options without values, then the host.
                while words.next().is_some_and(|word| word.starts_with('-')) {}
            }
            _ if word.starts_with(['<', '>']) && word.len() > 1 && !word.ends_with('>') => {}
            _ => current.push(word),
        }
    }
    commands.retain(|words| !words.is_empty());
    commands
}

/// What is wrong with a command line of ours; `None` where it is none of ours.
fn problem(words: &[String], is_span: bool) -> Option<String> {
    let definition = era::cli::definition(&words[0])?;
    if is_span {
        return mention(&definition, words).err();
    }
    let words = words.iter().map(|word| {
        PLACEHOLDERS.iter().find(|(name, _)| name == word).map_or(word.as_str(), |(_, value)| value)
    });
    match definition.try_get_matches_from(words) {
        Err(e) if e.use_stderr() => Some(e.to_string()),
        _ => None,
    }
}

/// A span may leave out what does not matter there, but what it names must be there.
fn mention(definition: &Command, words: &[String]) -> Result<(), String> {
    let (command, rest) = split(definition, words)?;
    for word in rest {
        let Some(flag) = word.trim_matches(['[', ']', ',']).strip_prefix("--") else { continue };
        let flag = flag.split('=').next().unwrap_or(flag);
        let is_known = command.get_arguments().any(|argument| argument.get_long() == Some(flag));
        if !is_known && !["help", "version"].contains(&flag) {
            return Err(format!("there is no --{flag}"));
        }
    }
    Ok(())
}

/// The command that is called, and its arguments.
fn split<'a>(definition: &'a Command, words: &'a [String]) -> Result<(&'a Command, &'a [String]), String> {
    match words.get(1).map(String::as_str) {
        // Of any command, or of none.
        None | Some("COMMAND") => Ok((definition, &[])),
        Some(word) if definition.has_subcommands() && !word.starts_with('-') => {
            let command =
                definition.find_subcommand(word).ok_or_else(|| format!("there is no command {word}"))?;
            Ok((command, &words[2..]))
        }
        _ => Ok((definition, &words[1..])),
    }
}

/// What a command line runs: the command, and which options.
fn signature(words: &[String]) -> Option<Signature> {
    let definition = era::cli::definition(&words[0])?;
    let (command, rest) = split(&definition, words).ok()?;
    let flags: BTreeSet<_> = rest
        .iter()
        .filter(|word| word.starts_with("--"))
        .map(|word| word.split('=').next().unwrap_or(word).to_owned())
        .collect();
    Some(Signature::new(command.get_name(), flags))
}

#[test]
fn every_command_line_is_one_that_the_program_takes() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for code in texts::all() {
        if code.is_span && !PROGRAMS.iter().any(|program| code.text.starts_with(&format!("{program} "))) {
            continue;
        }
        for words in commands(&code) {
            count += usize::from(PROGRAMS.contains(&words[0].as_str()));
            if let Some(problem) = problem(&words, code.is_span) {
                wrong.push(format!("{}: {}: {problem}", code.place, words.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 150, "only {count} command lines were found");
}

#[test]
fn every_command_line_is_run_by_a_test() {
    let evidence = Evidence::gather();
    let mut unknown = BTreeSet::new();
    for code in texts::all().iter().filter(|code| !code.is_span) {
        for words in commands(code) {
            let is_known = match signature(&words) {
                Some(signature) => evidence.runs(&signature),
                // In a block without prompts there is more than commands.
                None if !code.has_prompt && words[0] != "make" => true,
                None => evidence.knows_foreign(&words),
            };
            if !is_known {
                unknown.insert(format!("{}: {}", code.place, words.join(" ")));
            }
        }
    }
    let unknown: Vec<_> = unknown.into_iter().collect();
    assert!(
        unknown.is_empty(),
        "no test runs these; add one, or say in tests/manuals/elsewhere.txt who does or why nobody does:\n{}",
        unknown.join("\n")
    );
    let stale = evidence.stale();
    assert!(
        stale.is_empty(),
        "tests/manuals/elsewhere.txt: no text or no test has this any more:\n{}",
        stale.join("\n")
    );
}

#[test]
fn what_is_wrong_is_found() {
    let find = |text: &str, is_span| {
        let code = Code { place: "here".into(), text: text.into(), has_prompt: true, is_span };
        commands(&code).iter().filter_map(|words| problem(words, is_span)).count()
    };
    assert_eq!(find("era status", false), 0);
    assert_eq!(find("era statsu", false), 1);
    assert_eq!(find("umount /srv && era remove", false), 1);
    assert_eq!(find("era send vol | ssh store era receive", false), 1);
    assert_eq!(find("restrict,command=\"era restrict\" ssh-ed25519 AAAA", false), 1);
    assert_eq!(find("era create NAME --at-boot", true), 0);
    assert_eq!(find("era create NAME --at-bot", true), 1);
    let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
    let evidence = Evidence::gather();
    assert!(evidence.runs(&signature(&words("era status vol --json")).unwrap()));
    assert!(!evidence.runs(&signature(&words("era status vol --nonsense")).unwrap()));
    assert!(!evidence.knows_foreign(&words("make nonsense")));
    assert!(!evidence.knows_foreign(&words("fdisk /dev/vda")));
}
