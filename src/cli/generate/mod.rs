// SPDX-License-Identifier: GPL-3.0-or-later
//! `era generate`, called by `make install`: what is made of the definitions of the arguments, so that it says what `--help`
//! does. Manual pages, and completions for shells.

mod manual;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::{Era, EraApply, EraCopy};

/// Write manual pages and completions
#[derive(clap::Args)]
pub(super) struct Args {
    /// Directory for a manual page of each command
    #[arg(long, value_name = "DIR")]
    man: Option<PathBuf>,

    /// Directory for completions of bash
    #[arg(long, value_name = "DIR")]
    bash: Option<PathBuf>,

    /// Directory for completions of zsh
    #[arg(long, value_name = "DIR")]
    zsh: Option<PathBuf>,

    /// Directory for completions of fish
    #[arg(long, value_name = "DIR")]
    fish: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(directory) = &args.man {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        let era = people_s();
        let pages = era.get_subcommands().cloned().chain([EraCopy::command(), EraApply::command()]);
        for command in pages {
            let page = manual::page(command);
            let path = directory.join(&page.file);
            fs::write(&path, page.text).with_context(|| path.display().to_string())?;
        }
    }
    for (shell, directory) in [(Shell::Bash, &args.bash), (Shell::Zsh, &args.zsh), (Shell::Fish, &args.fish)]
    {
        if let Some(directory) = directory {
            complete(shell, directory)?;
        }
    }
    Ok(())
}

fn complete(shell: Shell, directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    for mut command in [people_s(), EraCopy::command(), EraApply::command()] {
        let name = command.get_name().to_owned();
        let path = clap_complete::generate_to(shell, &mut command, &name, directory)
            .with_context(|| directory.display().to_string())?;
        // bash-completion looks for a file with the name of the command.
        if shell == Shell::Bash {
            let wanted = directory.join(&name);
            fs::rename(&path, &wanted).with_context(|| wanted.display().to_string())?;
        }
    }
    Ok(())
}

/// The program without the commands that people do not give.
fn people_s() -> Command {
    let all = Era::command().disable_help_subcommand(true);
    let mut shown = Command::new("era")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .args(all.get_arguments().cloned());
    shown = shown.subcommands(all.get_subcommands().filter(|command| !command.is_hide_set()).cloned());
    shown.build();
    shown
}
