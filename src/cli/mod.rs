// SPDX-License-Identifier: GPL-3.0-or-later
//! The commands: arguments to options, call the library, print.
//!
//! One binary serves all. The name it is called by decides: as `era_copy` and `era_apply` it takes the arguments
//! of the classic tools, else the first argument names the command.
//!
//! Exit codes: 0 done; 1 a valid no, such as "a full copy is needed"; 2 an error. A reader of stdout that goes
//! away ends the program as SIGPIPE does, silently.

mod apply;
mod changed;
mod copy;
mod inspect;
mod interrupt;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use signal_hook::consts::SIGPIPE;

use crate::metadata::ChangedError;
use crate::report;

/// The program was asked a question and the answer is no.
const EXIT_NO: u8 = 1;
const EXIT_ERROR: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  How much was written on the device vm1 since era 12?
      dmsetup message vm1 0 take_metadata_snap
      era changed --metadata /dev/vg/vm1-meta --metadata-snapshot --since 12 --total

  Bring the mirror on another host up to date:
      era changed --metadata /dev/vg/vm1-meta --metadata-snapshot --since 12 \\
              --format xml |
          era copy --format 2 --compress 1 1024 /dev/mapper/vm1 |
          ssh backup era apply --require-end /srv/vm1.img
      dmsetup message vm1 0 drop_metadata_snap

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
    Changed(changed::Args),
    Copy(copy::Args),
    Apply(apply::Args),
    Inspect(inspect::Args),
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
        _ => Era::parse_from(args).command,
    };
    let result = match command {
        Command::Changed(args) => changed::run(&args),
        Command::Copy(args) => copy::run(&args),
        Command::Apply(args) => apply::run(&args),
        Command::Inspect(args) => inspect::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => exit_for(&e),
    }
}

fn exit_for(error: &anyhow::Error) -> ExitCode {
    if error.chain().any(is_broken_pipe) {
        // Returns only where the signal cannot be raised.
        let _ = signal_hook::low_level::emulate_default_handler(SIGPIPE);
        return ExitCode::from(EXIT_ERROR);
    }
    report::fail(format_args!("{error:#}"));
    match error.downcast_ref::<ChangedError>() {
        Some(ChangedError::FullCopyNeeded { .. }) => ExitCode::from(EXIT_NO),
        _ => ExitCode::from(EXIT_ERROR),
    }
}

fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
