// SPDX-License-Identifier: GPL-3.0-or-later
//! What a key may ask for, decided without doing anything.
//!
//! The real command line's parser reads what was asked for, so that nothing means one thing here and another there. Then
//! every option that it saw must be in a list: options that are added to a command one day are refused until somebody
//! adds them here. The lists have what `remote::backup` asks for, and nothing else.

use std::ffi::{OsStr, OsString};
use std::path::{self, Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, ValueEnum};

use super::super::{Era, send};
use super::Args;
use crate::remote::words::split;

/// A command, and the ids of the arguments that it may have.
type Allowed = (&'static str, &'static [&'static str]);

/// What the sender is asked for. Not `full`, `estimate` and `json`, which nothing here needs, nor `progress`.
const SENDER: [Allowed; 1] = [(
    "send",
    &[
        "name",
        "since",
        "compare",
        "audit",
        "audit_only",
        "consistency",
        "freeze_timeout",
        "max_passes",
        "no_cursor",
        "compress",
    ],
)];

/// What the receiver is asked for. The path is not the client's, but that of `era restrict`.
const RECEIVER: [Allowed; 3] = [
    ("points", &[REPOSITORY, "json", "if_any"]),
    ("hashes", &[REPOSITORY, "sample"]),
    ("receive", &[REPOSITORY]),
];

const REPOSITORY: &str = "repository";

/// The arguments with which `era` is to be started, or why it is not.
pub(super) fn allow(rule: &Args, asked: Option<&OsStr>) -> anyhow::Result<Vec<OsString>> {
    let line = asked.context("no command was given, and there is no shell")?;
    let line = line.to_str().context("the command is not UTF-8")?;
    let words = split(line)?;
    let (program, words) = words.split_first().context("the command is empty, and there is no shell")?;
    // Which one it is does not matter, it is this one; to a shell, NAME=VALUE would be none.
    let is_era = program.rsplit('/').next() == Some("era") && !program.contains('=');
    ensure!(is_era, "{program:?} is not era");

    let mut parser = Era::command();
    let matches = parser
        .try_get_matches_from_mut(std::iter::once("era").chain(words.iter().map(String::as_str)))
        .map_err(|e| anyhow::anyhow!(first_line(&e)))?;
    let (name, matches) = matches.subcommand().context("there is no command")?;
    let commands: &[Allowed] = if rule.receive.is_some() { &RECEIVER } else { &SENDER };
    let allowed = commands.iter().find(|(command, _)| *command == name);
    let (_, allowed) = allowed.with_context(|| format!("era {name} is not allowed"))?;
    let command = parser.find_subcommand(name).context("there is no such command")?;
    let mut options = Vec::new();
    for id in given(command, matches) {
        let argument = command.get_arguments().find(|argument| argument.get_id() == id);
        let option = argument.and_then(clap::Arg::get_long).map(|long| format!("--{long}"));
        let is_allowed = allowed.contains(&id);
        ensure!(is_allowed, "era {name} {} is not allowed", option.as_deref().unwrap_or(id));
        if let (Some(argument), Some(option)) = (argument, option) {
            options.push(OsString::from(option));
            // Flags have values, too, to the parser.
            let values = argument.get_action().takes_values().then(|| matches.get_raw(id)).flatten();
            options.extend(values.into_iter().flatten().map(OsStr::to_owned));
        }
    }
    match &rule.receive {
        Some(repository) => {
            let repository = same_path(repository, matches)?;
            Ok([name.into()].into_iter().chain(options).chain([repository.into()]).collect())
        }
        None => sender(rule, &send::Args::from_arg_matches(matches)?, words),
    }
}

/// The ids of what the command line has; groups of arguments, which clap counts among them, are none.
fn given<'a>(command: &'a clap::Command, matches: &'a ArgMatches) -> impl Iterator<Item = &'a str> {
    matches
        .ids()
        .filter(|id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine))
        .filter(|id| command.get_groups().all(|group| group.get_id() != *id))
        .map(clap::Id::as_str)
}

fn sender(rule: &Args, asked: &send::Args, words: &[String]) -> anyhow::Result<Vec<OsString>> {
    ensure!(rule.send.contains(&asked.name), "{} is not a device of this key", asked.name);
    let consistency = asked.how.consistency;
    let (freeze_timeout, max_passes) = (asked.how.freeze_timeout(), asked.how.max_passes());
    if freeze_timeout > rule.max_freeze {
        bail!("--freeze-timeout {freeze_timeout:?} is too long, at most {:?} are allowed", rule.max_freeze);
    }
    if max_passes > rule.max_passes {
        bail!("--max-passes {max_passes} are too many, at most {} are allowed", rule.max_passes);
    }
    let mut words: Vec<OsString> = words.iter().map(OsString::from).collect();
    if let Some(only) = rule.consistency.and_then(|only| only.to_possible_value()) {
        match consistency.and_then(|wanted| wanted.to_possible_value()) {
            Some(wanted) if wanted.get_name() != only.get_name() => {
                bail!("--consistency {} is not allowed, only {}", wanted.get_name(), only.get_name());
            }
            Some(_) => {}
            // Behind the command, the first word: at the end it could come after a "--".
            None => drop(words.splice(1..1, ["--consistency".into(), only.get_name().into()])),
        }
    }
    Ok(words)
}

/// The path of the rule, if the client's is the same as a text; where symbolic links and ".." lead to is not asked.
fn same_path(repository: &Path, matches: &ArgMatches) -> anyhow::Result<PathBuf> {
    let asked = matches.try_get_one::<PathBuf>(REPOSITORY)?.context("there is no repository")?;
    let repository = path::absolute(repository)?;
    ensure!(path::absolute(asked)? == repository, "{} is not the repository of this key", asked.display());
    Ok(repository)
}

/// What clap says, without how the command would be used.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    match error.exit_code() {
        0 => "help is not for others".into(),
        _ => text.lines().next().map_or("", |line| line.trim_start_matches("error: ")).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn rule(args: &str) -> Args {
        let args = ["era", "restrict"].into_iter().chain(args.split_ascii_whitespace());
        match Era::try_parse_from(args).unwrap_or_else(|e| panic!("{e}")).command {
            super::super::super::Command::Restrict(args) => args,
            _ => unreachable!(),
        }
    }

    /// The arguments with one blank between them, or the refusal.
    fn ask(args: &str, line: &str) -> Result<String, String> {
        allow(&rule(args), Some(OsStr::new(line)))
            .map(|words| words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" "))
            .map_err(|e| format!("{e:#}"))
    }

    const CURSOR: &str = "00000000-0000-0000-0000-00000000006e:7";

    #[test]
    fn what_a_backup_asks_for() {
        for args in [
            "send root --no-cursor --freeze-timeout 30000ms --max-passes 10 --compress 1",
            "send root --freeze-timeout 60000ms --max-passes 20 --consistency freeze --compare",
            "send root --freeze-timeout 1ms --max-passes 1 --consistency none --since CURSOR --audit",
            "send root --since CURSOR --audit --audit-only",
            "send root",
            "send --since=CURSOR -- root",
        ] {
            let args = args.replace("CURSOR", CURSOR);
            for era in ["era", "/opt/x/era", "./era", "'/opt/my apps/era'"] {
                assert_eq!(ask("--send data root", &format!("{era} {args}")), Ok(args.clone()));
            }
        }
        for args in [
            "points --json --if-any /srv/a",
            "points --json /srv/a",
            "points /srv/a",
            "hashes /srv/a",
            "hashes --sample 1000 /srv/a",
            "receive /srv/a",
        ] {
            assert_eq!(ask("--receive /srv/a", &format!("era {args}")), Ok(args.into()));
        }
    }

    #[test]
    fn the_path_is_that_of_the_rule() {
        for path in ["/srv/a/", "//srv//a", "/srv/./a/.", "'/srv/a'"] {
            assert_eq!(ask("--receive /srv/a", &format!("era receive {path}")), Ok("receive /srv/a".into()));
        }
        let here = std::env::current_dir().unwrap();
        assert_eq!(ask("--receive ./-x", "era receive ./-x"), Ok(format!("receive {}/-x", here.display())));
        for path in [
            "/srv/ab",
            "/srv",
            "/srv/a/b",
            "/srv/b/../a",
            "/srv/a/..",
            "srv/a",
            "'/srv/a '",
            "'/srv/a\n'",
            "/srv/A",
        ] {
            let refusal = ask("--receive /srv/a", &format!("era receive {path}")).unwrap_err();
            assert!(refusal.contains("is not the repository of this key"), "{refusal}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let refused = |args: &str, line: &str, says: &str| {
            let refusal = ask(args, line).expect_err(line);
            assert!(refusal.contains(says), "{line}: {refusal}");
        };
        for line in [
            "send ../root",
            "send 'root '",
            "send 'root;id'",
            "send -oX",
            "send --",
            "send",
            "send root root",
            "send ''",
        ] {
            refused("--send root", &format!("era {line}"), "");
        }
        refused("--send root", "era send data", "data is not a device of this key");
        refused("--send root", "era send roo", "not a device");
        for option in ["--full", "--estimate", "--estimate --json", "--progress"] {
            refused("--send root", &format!("era send root {option}"), "is not allowed");
        }
        for option in
            ["--help", "-h", "-V", "--version", "--no-such", "--sinc x", "--compare=x", "--since ''"]
        {
            refused("--send root", &format!("era send root {option}"), "");
        }
        for args in ["--send root", "--receive /srv/a"] {
            refused(args, "", "there is no shell");
            refused(args, "  ", "there is no shell");
            refused(args, "era", "");
            refused(args, "''", "is not era");
            for line in [
                "sh -c id",
                "/usr/lib/openssh/sftp-server",
                "scp -t .",
                "eras send root",
                "era/ send root",
                "X=/era send root",
            ] {
                refused(args, line, "");
            }
            for command in [
                "prune /srv/a --keep-last 1",
                "restore /srv/a /dev/sda",
                "verify /srv/a",
                "status",
                "open root",
                "close root",
                "restrict --send root",
                "apply /srv/a",
                "copy 4096 /dev/sda",
                "guardian x",
                "backup root /srv/a",
                "changed root --since 1",
                "help",
                "--help",
                "--version",
                "help send",
            ] {
                refused(args, &format!("era {command}"), "");
            }
        }
        refused("--send root", "era receive /srv/a", "era receive is not allowed");
        refused("--receive /srv/a", "era send root", "era send is not allowed");
        refused("--receive /srv/a", "era receive --progress /srv/a", "--progress is not allowed");
        refused("--receive /srv/a", "era points --cursor /srv/a", "--cursor is not allowed");
        refused("--receive /srv/a", "era receive", "");
        refused("--receive /srv/a", "era receive /srv/a /srv/a", "");
        assert!(allow(&rule("--send root"), None).unwrap_err().to_string().contains("no shell"));
    }

    #[test]
    fn what_is_held_back_has_bounds() {
        let ask = |rule: &str, options: &str| {
            ask(&format!("--send root {rule}"), &format!("era send root {options}"))
        };
        let too_long = ask("", "--freeze-timeout 24h").unwrap_err();
        assert_eq!(too_long, "--freeze-timeout 86400s is too long, at most 60s are allowed");
        assert!(ask("--max-freeze 2m", "--freeze-timeout 2m").is_ok());
        // The default counts, too.
        assert!(ask("--max-freeze 10s", "").unwrap_err().contains("--freeze-timeout 30s is too long"));
        assert!(ask("", "--max-passes 21").unwrap_err().contains("at most 20"));
        assert!(ask("--max-passes 5", "").unwrap_err().contains("--max-passes 10 are too many"));
        let only = |options: &str| ask("--consistency snapshot", options);
        assert_eq!(only("--max-passes 3").unwrap(), "send --consistency snapshot root --max-passes 3");
        assert_eq!(only("--consistency snapshot").unwrap(), "send root --consistency snapshot");
        assert!(only("--consistency freeze").unwrap_err().contains("is not allowed, only snapshot"));
    }
}
