// SPDX-License-Identifier: GPL-3.0-or-later
//! A real terminal: what a command draws in tmux.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// What is on the screen, and what went off it.
pub struct Screen {
    /// As text.
    pub text: String,
    /// The same with codes for colours.
    pub coloured: String,
    /// With lines joined that the terminal had to break: the same as `text` where all of them fit.
    joined: String,
}

/// Ends the terminal, whatever becomes of the test.
struct Server<'a>(&'a Path);

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ = tmux(self.0, &["kill-server"]);
    }
}

fn tmux(socket: &Path, args: &[&str]) -> String {
    let mut command = Command::new("tmux");
    command.arg("-S").arg(socket).args(["-f", "/dev/null"]).args(args);
    let output = command.env_remove("TMUX").env("LC_ALL", "C.UTF-8").output().expect("tmux starts");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Printed when the command has ended: only then is everything on the screen.
const END: &str = "the command has ended";

/// Runs a shell command in a terminal of this size.
pub fn screen(columns: u16, lines: u16, command: &str) -> Screen {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = directory.path().join("tmux");
    let _server = Server(&socket);
    let (x, y) = (columns.to_string(), lines.to_string());
    let command = format!("unset NO_COLOR; {command}; echo '{END}'; read _");
    tmux(&socket, &["new-session", "-d", "-x", &x, "-y", &y, "sh", "-c", &command]);
    let capture = |more: &[&str]| tmux(&socket, &[&["capture-pane", "-p", "-S", "-"], more].concat());
    let deadline = Instant::now() + Duration::from_secs(60);
    while !capture(&[]).contains(END) {
        assert!(Instant::now() < deadline, "the terminal shows: {}", capture(&[]));
        thread::sleep(Duration::from_millis(20));
    }
    let until_end = |text: String| text.split(END).next().unwrap_or_default().to_owned();
    Screen {
        text: until_end(capture(&[])),
        coloured: until_end(capture(&["-e"])),
        joined: until_end(capture(&["-J"])),
    }
}

impl Screen {
    /// No line is longer than the terminal is wide.
    #[track_caller]
    pub fn assert_nothing_wraps(&self) {
        let trimmed = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(trimmed(&self.text), trimmed(&self.joined), "{}", self.text);
    }
}
