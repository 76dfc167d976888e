// SPDX-License-Identifier: GPL-3.0-or-later
//! `era restrict`: what stands between an ssh key and everything else that its account may do.
//!
//! sshd runs it in place of what the client asked for, which it finds in `SSH_ORIGINAL_COMMAND`. No shell sees that: it is
//! taken apart here, `allow` decides, and this program takes its own place with the arguments that were allowed, and with
//! an environment that is empty, whatever sshd lets a client put there.

mod allow;

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::send::{self, Wanted};
use crate::device::eratab::Name;
use crate::sys::log_refusal;

const EXAMPLES: &str = "\
Examples:
  On a host that is backed up, a line of ~/.ssh/authorized_keys that lets a backup
  host's key read root and data:
      restrict,command=\"era restrict --send root data\" ssh-ed25519 AAAA... store
  On a backup host, one that lets a host's key add points to its own repository:
      restrict,command=\"era restrict --receive /srv/backups/vm1\" ssh-ed25519 AAAA... vm1

The word restrict before command= turns forwarding and terminals off; without it the
key may still open tunnels. The key can do what era backup needs, for these devices
or this repository, and nothing else: no shell, no scp, no other command, neither
restore nor prune. What is refused is told to the client and goes to the system's
log (facility authpriv), with the client's address.

With --send NAME..., the key's owner reads these devices whole, and may make writes
wait for --max-freeze again and again, but with --consistency snapshot or none only
for milliseconds.
With --receive REPO, the key's owner may add points, whatever they hold, until the
disk is full. Points that are there stay what they are.

Exit status: that of the command; 2 if it is refused.";

/// Restrict an ssh key to backups, as a forced command in authorized_keys
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, group(clap::ArgGroup::new("purpose").required(true)))]
pub(super) struct Args {
    /// Let the key make copies of these tracked devices
    #[arg(long, value_name = "NAME", num_args = 1.., group = "purpose")]
    send: Vec<Name>,

    /// Let the key add points to this repository, which it must name by the very same path
    #[arg(long, value_name = "REPO", group = "purpose")]
    receive: Option<PathBuf>,

    /// With --send: the longest --freeze-timeout that may be asked for
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = send::parse_duration)]
    #[arg(conflicts_with = "receive")]
    max_freeze: Duration,

    /// With --send: the most --max-passes that may be asked for
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(conflicts_with = "receive")]
    max_passes: u32,

    /// With --send: make all copies in this way, and refuse the others
    #[arg(long, value_enum, conflicts_with = "receive")]
    consistency: Option<Wanted>,
}

/// What the key is for, as arguments.
impl fmt::Display for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(repository) = &self.receive {
            return write!(f, "--receive {}", repository.display());
        }
        f.write_str("--send")?;
        self.send.iter().try_for_each(|name| write!(f, " {name}"))
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let asked = env::var_os("SSH_ORIGINAL_COMMAND");
    match allow::allow(args, asked.as_deref()) {
        // Not the path: the program may have been replaced since. Returns only if it fails.
        Ok(words) => Err(Command::new("/proc/self/exe").arg0("era").args(words).env_clear().exec())
            .context("/proc/self/exe: cannot start"),
        Err(why) => {
            let why = shown(OsStr::new(&format!("{why:#}")));
            let client = env::var_os("SSH_CLIENT").unwrap_or_default();
            log_refusal(&format!(
                "restrict {}: refused: {why}; client: {}; command: {}",
                shown(OsStr::new(&args.to_string())),
                shown(&client),
                asked.as_deref().map_or("none".into(), shown)
            ));
            Err(anyhow!("refused: {why} (this key is restricted: {args})"))
        }
    }
}

/// Longest text of a client's that is passed on.
const SHOWN: usize = 1000;

/// A text on one line without anything that a terminal or the reader of a log could take for something else.
fn shown(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    let mut shown: String = text.chars().take(SHOWN).flat_map(escape).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str(&format!("... ({} bytes)", text.len()));
    }
    shown
}

/// As in a string of Rust, but what a message has escaped already stays, and so do quotes.
fn escape(c: char) -> impl Iterator<Item = char> {
    let stays = matches!(c, '\'' | '"' | '\\');
    stays.then_some(c).into_iter().chain((!stays).then(|| c.escape_debug()).into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn what_is_shown_is_one_line_of_bounded_length() {
        assert_eq!(shown(OsStr::new("era send 'a b' \"ü\"")), "era send 'a b' \"ü\"");
        assert_eq!(shown(OsStr::new("a\nb\t\u{1b}[2J\\\u{202e}\u{0}")), r"a\nb\t\u{1b}[2J\\u{202e}\0");
        assert_eq!(shown(OsStr::from_bytes(b"a\xffb")), "a\u{fffd}b");
        assert_eq!(shown(OsStr::new(&"x".repeat(1000))), "x".repeat(1000));
        assert_eq!(shown(OsStr::new(&"x".repeat(1001))), "x".repeat(1000) + "... (1001 bytes)");
    }
}
