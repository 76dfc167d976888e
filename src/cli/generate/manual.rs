// SPDX-License-Identifier: GPL-3.0-or-later
//! A manual page of a command. Options are laid out by clap_mangen; usage and the text below the options, which clap_mangen
//! would run together, are taken apart here: examples, remarks, exit status.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

const SECTION: &str = "8";
const MANUAL: &str = "\"System Manager's Manual\"";

/// Pages that belong beside a command's; era(8) is beside all.
const SEE_ALSO: [(&[&str], &[&str]); 4] = [
    (&["create", "open", "close", "remove", "status"], &["eratab(5)", "era-generator(8)"]),
    (&["backup"], &["era-backup(5)", "era-restrict(8)", "era-repository(5)"]),
    (&["restrict"], &["era-backup(8)", "sshd(8)"]),
    (
        &["receive", "points", "restore", "mount", "verify", "prune", "hashes"],
        &["era-backup(8)", "era-repository(5)"],
    ),
];
const STREAM: &str = "era-stream(5)";

/// A page, and the name of its file.
pub(super) struct Page {
    pub(super) file: String,
    pub(super) text: Vec<u8>,
}

/// The page of a command, which knows what it is called with all that is before it.
pub(super) fn page(mut command: Command) -> Page {
    command.build();
    let title = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let called = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let mut text = b".\\\" Made by `era generate` of what --help says.\n".to_vec();

    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]);
    let usage = command.render_usage().to_string();
    let usage = usage.strip_prefix("Usage:").unwrap_or(&usage);
    for (number, line) in usage.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        if number > 0 {
            synopsis.control("br", []);
        }
        synopsis.text([bold(&called), roman(line.strip_prefix(&called).unwrap_or(line))]);
    }

    let below = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let see = see_also(command.get_name(), &title);
    let man = Man::new(command);
    // Without a date: what is made of the same source is the same. clap_mangen leaves such an argument out, and all behind
    // it would mean something else.
    let head =
        [&*title.to_uppercase(), SECTION, "\"\"", concat!("\"era ", env!("CARGO_PKG_VERSION"), "\""), MANUAL];
    text.extend(format!(".TH {}\n", head.join(" ")).into_bytes());
    // Nothing that writes to memory fails.
    let write = |done: std::io::Result<()>| done.expect("memory takes all");
    write(man.render_name_section(&mut text));
    write(synopsis.to_writer(&mut text));
    write(man.render_description_section(&mut text));
    let parts = Below::of(&below);
    text.extend(if parts.remarks.is_empty() { "" } else { ".PP\n" }.bytes());
    write(paragraphs(&parts.remarks).to_writer(&mut text));
    write(man.render_options_section(&mut text));
    for (heading, body) in [("EXIT STATUS", &parts.exit_status), ("EXAMPLES", &parts.examples)] {
        if !body.is_empty() {
            let mut section = Roff::new();
            section.control("SH", [heading]);
            write(section.to_writer(&mut text));
            let body = if heading == "EXAMPLES" { examples(body) } else { paragraphs(body) };
            write(body.to_writer(&mut text));
        }
    }
    let mut section = Roff::new();
    section.control("SH", ["SEE ALSO"]);
    section.text([roman(see)]);
    write(section.to_writer(&mut text));
    Page { file: format!("{title}.{SECTION}"), text }
}

fn see_also(name: &str, title: &str) -> String {
    let mut pages = vec!["era(8)"];
    for (commands, related) in SEE_ALSO {
        if commands.contains(&name) {
            pages.extend(related);
        }
    }
    if ["send", "receive", "copy", "apply", "inspect", "era_copy", "era_apply"].contains(&name) {
        pages.push(STREAM);
    }
    let own = format!("{title}({SECTION})");
    pages.retain(|page| *page != own);
    pages.join(", ")
}

/// What is below the options in `--help`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Below {
    examples: Vec<String>,
    exit_status: Vec<String>,
    remarks: Vec<String>,
}

impl Below {
    /// Paragraphs, which blank lines part, are examples if they begin with "Examples:", and so on.
    fn of(text: &str) -> Self {
        let mut below = Self::default();
        for paragraph in text.split("\n\n") {
            if let Some(examples) = paragraph.strip_prefix("Examples:\n") {
                below.examples.push(examples.to_owned());
            } else if let Some(status) = paragraph.strip_prefix("Exit status: ") {
                below.exit_status.push(status.to_owned());
            } else if !paragraph.is_empty() {
                below.remarks.push(paragraph.to_owned());
            }
        }
        below
    }
}

fn paragraphs(of: &[String]) -> Roff {
    let mut page = Roff::new();
    for (number, paragraph) in of.iter().enumerate() {
        if number > 0 {
            page.control("PP", []);
        }
        // Where the lines end is for the width of a terminal.
        page.text([roman(paragraph.replace('\n', " "))]);
    }
    page
}

/// A line of an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'a> {
    Caption(&'a str),
    Command(&'a str),
}

/// Tells captions from commands, both of which may go on for lines. Commands are indented by six blanks below a caption; a
/// caption begins with a capital, which no command does.
fn lines(examples: &str) -> Vec<Line<'_>> {
    let mut in_caption = false;
    examples
        .lines()
        .map(|line| {
            if let Some(command) = line.strip_prefix("      ") {
                in_caption = false;
                return Line::Command(command);
            }
            let line = line.trim_start();
            if in_caption || line.starts_with(|first: char| first.is_uppercase()) {
                in_caption = true;
                return Line::Caption(line);
            }
            Line::Command(line)
        })
        .collect()
}

fn examples(of: &[String]) -> Roff {
    let mut page = Roff::new();
    let mut last = None;
    for line in of.iter().flat_map(|paragraph| lines(paragraph)) {
        match (line, last) {
            (Line::Caption(_), Some(Line::Command(_))) => {
                page.control("fi", []);
                page.control("RE", []);
                page.control("PP", []);
            }
            (Line::Command(_), None | Some(Line::Caption(_))) => {
                if last.is_some() {
                    page.control("PP", []);
                }
                page.control("RS", ["4"]);
                page.control("nf", []);
            }
            _ => {}
        }
        let (Line::Caption(text) | Line::Command(text)) = line;
        page.text([roman(text)]);
        last = Some(line);
    }
    if let Some(Line::Command(_)) = last {
        page.control("fi", []);
        page.control("RE", []);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_and_commands() {
        let text = "  umount /d && era remove d\n  mount /d\n  The root, if it\n  is one:\n      era remove |\n          more\n  Or:\n      a";
        use Line::{Caption, Command};
        let wanted = [
            Command("umount /d && era remove d"),
            Command("mount /d"),
            Caption("The root, if it"),
            Caption("is one:"),
            Command("era remove |"),
            Command("    more"),
            Caption("Or:"),
            Command("a"),
        ];
        assert_eq!(lines(text), wanted);
    }

    #[test]
    fn paragraphs_find_their_sections() {
        let below = Below::of("Examples:\n  era x\n\nOne\ntwo.\n\nExit status: 0 done; 2 an\nerror.");
        let wanted = Below {
            examples: vec!["  era x".into()],
            exit_status: vec!["0 done; 2 an\nerror.".into()],
            remarks: vec!["One\ntwo.".into()],
        };
        assert_eq!(below, wanted);
    }
}
