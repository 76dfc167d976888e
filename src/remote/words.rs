// SPDX-License-Identifier: GPL-3.0-or-later
//! Words of a command line that a shell on another machine takes apart: quoting them, and taking them apart without a shell.
//!
//! [`split`] knows what [`quote`] writes, and no more of a shell's language: plain words, and words in single quotes,
//! in which `'\''` stands for a single quote. Everything else that a shell would act on, or might, is refused, so that the
//! words are those that every POSIX shell would see.

use thiserror::Error;

/// A word as every POSIX shell takes it for one.
pub fn quote(word: &str) -> String {
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Whether a character means itself to a shell, wherever it stands. Not those beyond ASCII: some are blanks in some locales.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-+=:,./@".contains(c)
}

/// What is not a line of plain and quoted words. Bytes are counted from 1.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NotWords {
    /// A shell could act on it.
    #[error("byte {at}: {c:?} may stand only in single quotes")]
    Bare {
        /// Where.
        at: usize,
        /// What.
        c: char,
    },
    /// A quote that begins and does not end.
    #[error("byte {at}: the single quote that begins here has no end")]
    Unterminated {
        /// Where.
        at: usize,
    },
    /// A shell would join them to one word; nothing that writes for this does so.
    #[error("byte {at}: a blank is needed between two words")]
    Joined {
        /// Where.
        at: usize,
    },
}

/// The words of a line.
pub fn split(line: &str) -> Result<Vec<String>, NotWords> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches(' ');
        let begin = line.len() - rest.len();
        if rest.is_empty() {
            return Ok(words);
        }
        let word;
        (word, rest) = match rest.strip_prefix('\'') {
            Some(quoted) => unquote(quoted).ok_or(NotWords::Unterminated { at: begin + 1 })?,
            None => {
                let (word, rest) = rest.split_at(rest.find(|c| !is_plain(c)).unwrap_or(rest.len()));
                (word.to_owned(), rest)
            }
        };
        let at = line.len() - rest.len() + 1;
        match rest.chars().next() {
            None | Some(' ') => words.push(word),
            Some(c) if c == '\'' || is_plain(c) => return Err(NotWords::Joined { at }),
            Some(c) => return Err(NotWords::Bare { at, c }),
        }
    }
}

/// The word that a quote has begun, and what comes after it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('\'')?;
        word.push_str(part);
        let Some(more) = after.strip_prefix(r"\''") else { return Some((word, after)) };
        word.push('\'');
        rest = more;
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// What a shell makes of it, each word followed by a NUL.
    fn shell(line: &str) -> String {
        let output = Command::new("sh").args(["-c", &format!("printf '%s\\0' {line}")]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_shell_takes_words_for_what_they_are() {
        let words = [
            "",
            "plain",
            "two words",
            "it's",
            "$(rm -rf /)",
            "a\nb",
            "`x`",
            "\\",
            "*",
            "~root",
            "-x;y",
            "ü",
            "''",
        ];
        let line = words.map(quote).join(" ");
        assert_eq!(shell(&line), words.map(|word| format!("{word}\0")).concat());
        assert_eq!(split(&line).unwrap(), words);
    }

    #[test]
    fn lines_of_words() {
        for (line, words) in [
            ("", &[][..]),
            ("   ", &[]),
            ("era send root", &["era", "send", "root"]),
            ("  era   'send'  root ", &["era", "send", "root"]),
            ("'' ''", &["", ""]),
            (r"'it'\''s' ''\''' ''\'''\'''", &["it's", "'", "''"]),
            ("'a;b $(c) `d` \"e\" \\ \n\t*?[]~#&|<>(){}!'", &["a;b $(c) `d` \"e\" \\ \n\t*?[]~#&|<>(){}!"]),
            ("--since=a:1", &["--since=a:1"]),
            ("'ü\u{a0}\u{1b}'", &["ü\u{a0}\u{1b}"]),
        ] {
            assert_eq!(
                split(line).as_deref(),
                Ok(&words.iter().map(|&w| w.to_owned()).collect::<Vec<_>>()[..])
            );
        }
    }

    #[test]
    fn what_a_shell_would_act_on_is_refused() {
        // Alone, within a word, before one, behind one, and behind a quoted one.
        for c in "$`;&|<>()*?[]~#\n\t\r\"\\{}!^%ü\u{a0}\u{2028}\u{0}\u{7f}\u{1b}".chars() {
            for (line, at) in [
                (format!("era {c}"), 5),
                (format!("era a{c}b"), 6),
                (format!("era {c}b"), 5),
                (format!("era a{c}"), 6),
                (format!("era 'a'{c}"), 8),
                (format!("{c}era"), 1),
            ] {
                assert_eq!(split(&line), Err(NotWords::Bare { at, c }), "{line:?}");
            }
        }
        for (line, problem) in [
            ("era 'a", NotWords::Unterminated { at: 5 }),
            ("'", NotWords::Unterminated { at: 1 }),
            (r"'a'\''", NotWords::Unterminated { at: 1 }),
            (r"'a'\'", NotWords::Bare { at: 4, c: '\\' }),
            (r"'a'\'b", NotWords::Bare { at: 4, c: '\\' }),
            (r"a\''b'", NotWords::Bare { at: 2, c: '\\' }),
            (r"\'", NotWords::Bare { at: 1, c: '\\' }),
            ("'a'b", NotWords::Joined { at: 4 }),
            ("a'b'", NotWords::Joined { at: 2 }),
            ("'a''b'", NotWords::Joined { at: 4 }),
            ("$'a'", NotWords::Bare { at: 1, c: '$' }),
        ] {
            assert_eq!(split(line), Err(problem), "{line:?}");
        }
        assert_eq!(split("era; id").unwrap_err().to_string(), "byte 4: ';' may stand only in single quotes");
        assert_eq!(split("a\nb").unwrap_err().to_string(), r"byte 2: '\n' may stand only in single quotes");
    }

    #[test]
    fn long_lines_take_no_longer_than_their_length() {
        let million = 1 << 20;
        assert_eq!(split(&"a ".repeat(million)).unwrap().len(), million);
        assert_eq!(split(&format!("'{}'", r"'\''".repeat(million))).unwrap()[0].len(), million);
        assert_eq!(split(&"'".repeat(million)), Err(NotWords::Joined { at: 3 }));
        assert_eq!(split(&format!("'{}", "x".repeat(million))), Err(NotWords::Unterminated { at: 1 }));
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_split_again(words in prop::collection::vec("(?s).{0,12}|[' \\\\]{0,6}", 0..6)) {
            let line = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(&line).unwrap(), words);
        }

        /// Whatever is taken apart, a shell takes apart in the same way.
        #[test]
        fn a_shell_agrees(line in "[a' \\\\;$\"=~#\n]{0,12}") {
            if let Ok(words) = split(&line) && !words.is_empty() {
                let expected: String = words.iter().map(|word| format!("{word}\0")).collect();
                prop_assert_eq!(shell(&line), expected);
            }
        }
    }
}
