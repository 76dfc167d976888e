// SPDX-License-Identifier: GPL-3.0-or-later
//! `era` here or on another machine, as a command that can be started.

use std::process::Command;

use super::words::quote;

/// How to reach another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The remote shell and its arguments; the host and one argument with the command follow.
    pub rsh: Vec<String>,
    /// The path of `era` there.
    pub era: String,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name, as ssh takes it; this machine where not given.
    pub host: Option<String>,
    reach: Reach,
}

impl Peer {
    /// A machine, and how to reach it.
    pub fn new(host: Option<String>, reach: Reach) -> Self {
        Self { host, reach }
    }

    /// `era` with these arguments.
    pub fn era(&self, args: &[String]) -> Command {
        match &self.host {
            None => {
                // Not the path: the program may have been replaced since.
                let mut command = Command::new("/proc/self/exe");
                command.args(args);
                command
            }
            Some(host) => {
                let mut command = Command::new(self.reach.rsh.first().map_or("ssh", String::as_str));
                command.args(self.reach.rsh.iter().skip(1)).arg(host);
                // A shell there takes it apart again.
                let words: Vec<String> =
                    std::iter::once(&self.reach.era).chain(args).map(|word| quote(word)).collect();
                command.arg(words.join(" "));
                command
            }
        }
    }

    /// How messages call it.
    pub fn name(&self) -> &str {
        self.host.as_deref().unwrap_or("this machine")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach() -> Reach {
        Reach { rsh: vec!["ssh".into(), "-p22".into()], era: "/opt/my era".into() }
    }

    #[test]
    fn the_command_for_another_machine() {
        let peer = Peer::new(Some("me@vm1".into()), reach());
        let command = peer.era(&["send".into(), "a b".into()]);
        assert_eq!(command.get_program(), "ssh");
        let args: Vec<_> = command.get_args().map(|arg| arg.to_str().unwrap()).collect();
        assert_eq!(args, ["-p22", "me@vm1", "'/opt/my era' send 'a b'"]);
    }
}
