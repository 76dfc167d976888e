// SPDX-License-Identifier: GPL-3.0-or-later
//! Code in texts. A text is README, a file in docs/, a manual page, or what `--help` prints.
//!
//! Code is a block, whose lines are commands as they stand, or a span in a line, which may mention a command by less.

use std::fs;
use std::path::{Path, PathBuf};

/// A piece of code.
#[derive(Clone, Debug)]
pub struct Code {
    /// Where it is, for messages.
    pub place: String,
    pub text: String,
    /// Whether it was in a block with prompts: then it is a command, whatever it begins with.
    pub has_prompt: bool,
    /// Whether it is a span in a line.
    pub is_span: bool,
}

/// Blocks there are tables that `make bench` prints, each line of a command that it has run.
const MEASURED: &str = "docs/performance.md";

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All code in all texts.
pub fn all() -> Vec<Code> {
    let mut code = Vec::new();
    let mut markdown = files("", "md");
    markdown.extend(files("docs", "md"));
    markdown.extend(files("dist", "md"));
    for path in markdown {
        of_markdown(&name(&path), &fs::read_to_string(&path).unwrap(), &mut code);
    }
    for path in files("man", "5").into_iter().chain(files("man", "8")) {
        of_mdoc(&name(&path), &fs::read_to_string(&path).unwrap(), &mut code);
    }
    let mut era = era::cli::definition("era").unwrap();
    era.build();
    of_help(&era, &mut code);
    for command in era.get_subcommands() {
        of_help(command, &mut code);
    }
    code
}

/// Files in a directory of the project, by the end of their names.
pub fn files(directory: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(directory)).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

pub fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

fn of_markdown(name: &str, text: &str, code: &mut Vec<Code>) {
    let mut block = Vec::new();
    let mut prose = String::new();
    let mut is_fenced = false;
    let mut was_blank = true;
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
            continue;
        }
        if is_fenced || (line.starts_with("    ") && (was_blank || !block.is_empty())) {
            block.push((number, line.trim()));
        } else {
            finish(name, &mut block, code);
            prose.push_str(line);
            prose.push(' ');
            if line.trim().is_empty() {
                spans(&format!("{name}:{number}"), &prose, code);
                prose.clear();
            }
        }
        was_blank = line.trim().is_empty();
    }
    finish(name, &mut block, code);
    spans(name, &prose, code);
}

fn of_mdoc(name: &str, text: &str, code: &mut Vec<Code>) {
    let mut block = None;
    for (number, line) in text.lines().enumerate() {
        let place = format!("{name}:{}", number + 1);
        if line.starts_with(".Bd -literal") {
            block = Some(Vec::new());
        } else if line.starts_with(".Ed") {
            finish(name, &mut block.take().unwrap_or_default(), code);
        } else if let Some(lines) = &mut block {
            lines.push((number + 1, line.trim()));
        } else if let Some(words) = line.strip_prefix(".Ql ") {
            let words: Vec<_> =
                words.split(' ').filter(|word| !["Ar", "Cm", "Ns", ",", "."].contains(word)).collect();
            code.push(Code { place, text: words.join(" "), has_prompt: false, is_span: true });
        }
    }
}

fn of_help(command: &clap::Command, code: &mut Vec<Code>) {
    let place = format!("{} --help", command.get_bin_name().unwrap_or(command.get_name()));
    let below = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut block = Vec::new();
    for paragraph in below.split("\n\n") {
        if let Some(examples) = paragraph.strip_prefix("Examples:\n") {
            // Captions begin with capitals and may go on; commands below them are further in.
            let mut in_caption = false;
            for line in examples.lines() {
                let is_below = line.starts_with("      ");
                in_caption = !is_below && (in_caption || line.trim().starts_with(char::is_uppercase));
                if !in_caption {
                    block.push((0, line.trim()));
                }
            }
        } else {
            spans(&place, &paragraph.replace('\n', " "), code);
        }
    }
    for (_, line) in joined(&block) {
        code.push(Code { place: place.clone(), text: line, has_prompt: true, is_span: false });
    }
    let mut prose: Vec<_> = command.get_about().into_iter().chain(command.get_long_about()).collect();
    prose.extend(command.get_arguments().filter_map(|argument| argument.get_help()));
    for text in prose {
        spans(&place, &text.to_string(), code);
    }
}

/// The end of a block: its commands.
fn finish(name: &str, block: &mut Vec<(usize, &str)>, code: &mut Vec<Code>) {
    if name == MEASURED {
        return block.clear();
    }
    let prompt =
        |line: &str| ["$ ", "# "].iter().find_map(|prompt| line.strip_prefix(prompt).map(str::to_owned));
    // A line that begins with "# " alone may be a comment.
    let has_prompt = block.iter().any(|(_, line)| line.starts_with("$ "))
        || (name.starts_with("man/") && block.iter().any(|(_, line)| line.starts_with("# era ")));
    for (number, line) in joined(block) {
        let text = if has_prompt { prompt(&line) } else { Some(line) };
        if let Some(text) = text {
            code.push(Code { place: format!("{name}:{number}"), text, has_prompt, is_span: false });
        }
    }
    block.clear();
}

/// Lines, with what goes on put together.
fn joined(block: &[(usize, &str)]) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in block {
        let part = line.strip_suffix('\\').unwrap_or(line);
        match lines.last_mut() {
            Some((_, last)) if goes_on => {
                last.push(' ');
                last.push_str(part);
            }
            _ => lines.push((*number, part.to_owned())),
        }
        goes_on = line.ends_with('\\') || line.ends_with('|') || line.ends_with("&&");
    }
    lines
}

/// What stands between backquotes.
fn spans(place: &str, prose: &str, code: &mut Vec<Code>) {
    for text in prose.split('`').skip(1).step_by(2) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        code.push(Code { place: place.to_owned(), text, has_prompt: false, is_span: true });
    }
}
