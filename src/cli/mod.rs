// SPDX-License-Identifier: GPL-3.0-or-later
//! The commands: arguments to options, call the library, print.
//!
//! One binary serves all. The name it is called by decides: as `era_copy` and `era_apply` it takes the arguments
//! of the classic tools, else the first argument names the command.
//!
//! Exit codes: 0 done; 1 a valid no, such as "a full copy is needed"; 2 an error. A reader of stdout that goes
//! away ends the program as SIGPIPE does, silently.

mod apply;
mod at_boot;
mod backup;
mod boot;
mod changed;
mod copy;
mod create;
mod generate;
mod hashes;
mod inspect;
mod interrupt;
mod map;
mod mount;
mod open;
mod points;
mod prune;
mod receive;
mod remove;
mod restic;
mod restore;
mod restrict;
mod rewind;
mod send;
mod size;
#[cfg(test)]
#[path = "../../tests/common/snapshot.rs"]
mod snapshot;
mod status;
mod status_text;
mod tracked;
mod verify;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use serde::Serialize;
use signal_hook::consts::SIGPIPE;

use crate::blockio::Tuning;
use crate::device::cursor::OtherGeneration;
use crate::device::guardian;
use crate::metadata::ChangedError;
use crate::report;

/// The program was asked a question and the answer is no.
const EXIT_NO: u8 = 1;
const EXIT_ERROR: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  Track a device, with a small one for metadata and snapshots:
      era create data --data /dev/vdb1 --meta /dev/vdb2
      mount /dev/mapper/data /srv

  A mirror on another host: everything once, then what has changed:
      era send data | ssh backup era apply --require-end /backup/data.img
      era send data --since CURSOR |
          ssh backup era apply --require-end /backup/data.img

  What is there, and is it well?
      era status

Exit status: 0 done; 1 a valid no, such as: a full copy is needed; 2 an error.
Called as era_copy or era_apply (links to this program) it takes the arguments
of the classic tools.";

/// Incremental backups of raw block devices with dm-era
#[derive(Parser)]
#[command(name = "era", version, after_help = EXAMPLES, arg_required_else_help = true)]
struct Era {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Create(create::Args),
    Open(open::OpenArgs),
    Close(open::CloseArgs),
    Remove(remove::Args),
    Status(status::Args),
    Backup(backup::Args),
    Send(send::Args),
    Receive(receive::Args),
    Points(points::Args),
    Restore(restore::Args),
    Mount(mount::Args),
    Verify(verify::Args),
    Prune(prune::Args),
    Hashes(hashes::Args),
    Restrict(restrict::Args),
    Changed(changed::Args),
    Copy(copy::Args),
    Apply(apply::Args),
    Inspect(inspect::Args),
    /// Undoes what `era send` does when that cannot; started by it.
    #[command(name = guardian::COMMAND, hide = true)]
    Guardian {
        /// What to do.
        charge: String,
    },
    /// Says which links udev makes to a data device; called by a udev rule.
    #[command(hide = true)]
    UdevLinks,
    #[command(hide = true)]
    Generate(generate::Args),
}

#[derive(Parser)]
#[command(name = "era_copy", version)]
struct EraCopy {
    #[command(flatten)]
    args: copy::Args,
}

#[derive(Parser)]
#[command(name = "era_apply", version)]
struct EraApply {
    #[command(flatten)]
    args: apply::Args,
}

/// The arguments of the program: of `era`, or of one of the classic tools by the name that it has there. For tests of what is
/// written about them.
pub fn definition(program: &str) -> Option<clap::Command> {
    match program {
        "era" => Some(Era::command()),
        "era_copy" => Some(EraCopy::command()),
        "era_apply" => Some(EraApply::command()),
        _ => None,
    }
}

/// Runs the program that the arguments, the name of the program first, ask for.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<_> = args.collect();
    let name = args.first().and_then(|name| Path::new(name).file_name()).and_then(|name| name.to_str());
    let command = match name {
        Some("era_copy") => {
            report::set_program("era_copy");
            Command::Copy(EraCopy::parse_from(args).args)
        }
        Some("era_apply") => {
            report::set_program("era_apply");
            Command::Apply(EraApply::parse_from(args).args)
        }
        Some("era-generator") => {
            report::set_program("era-generator");
            return answer(boot::generate(args.get(1..).unwrap_or_default()).map(|()| true));
        }
        Some("era-shutdown") => {
            report::set_program("era-shutdown");
            return answer(boot::shut_down().map(|()| true));
        }
        _ => Era::parse_from(args).command,
    };
    let depth = match &command {
        Command::Copy(args) => args.queue_depth,
        Command::Send(args) => args.queue_depth,
        _ => None,
    };
    if let Err(e) = Tuning::choose(depth) {
        return exit_for(&e);
    }
    let result = match command {
        Command::Create(args) => create::run(&args),
        Command::Open(args) => open::open(&args),
        Command::Close(args) => open::close(&args),
        Command::Remove(args) => remove::run(&args),
        Command::Status(args) => return answer(status::run(&args)),
        Command::Points(args) => return answer(points::run(&args)),
        Command::Verify(args) => return answer(verify::run(&args)),
        Command::Backup(args) => backup::run(&args),
        Command::Receive(args) => receive::run(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Mount(args) => mount::run(&args),
        Command::Prune(args) => prune::run(&args),
        Command::Restrict(args) => restrict::run(&args),
        Command::Hashes(args) => return answer(hashes::run(&args)),
        Command::Send(args) => send::run(&args),
        Command::Guardian { charge } => guardian::run(&charge),
        Command::UdevLinks => boot::links(),
        Command::Changed(args) => changed::run(&args),
        Command::Copy(args) => copy::run(&args),
        Command::Apply(args) => apply::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Generate(args) => generate::run(&args),
    };
    answer(result.map(|()| true))
}

/// Of a question that has yes and no for answers.
fn answer(result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_NO),
        Err(e) => exit_for(&e),
    }
}

/// Prints one object on a line.
fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)
        .map_err(io::Error::from)
        .and_then(|()| writeln!(out))
        .context("cannot write to stdout")
}

fn exit_for(error: &anyhow::Error) -> ExitCode {
    if error.chain().any(is_broken_pipe) {
        // Returns only where the signal cannot be raised.
        let _ = signal_hook::low_level::emulate_default_handler(SIGPIPE);
        return ExitCode::from(EXIT_ERROR);
    }
    report::fail(format_args!("{error:#}"));
    let needs_full_copy = matches!(error.downcast_ref(), Some(ChangedError::FullCopyNeeded { .. }))
        || error.is::<OtherGeneration>();
    ExitCode::from(if needs_full_copy { EXIT_NO } else { EXIT_ERROR })
}

fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
