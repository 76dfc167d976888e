// SPDX-License-Identifier: GPL-3.0-or-later
//! Tests on a real dm-era: every `scenarios/*.sh` is a test, run as root inside User-Mode Linux.
//!
//! The host needs no device-mapper and no privilege, and nothing of it is changed: its files are the machine's
//! read-only root, and the only place the machine can write to is a directory that goes away with the test.
//! `README.md` beside this file says how to add a scenario and how to look into a failing one.

#[path = "../common/boot_program.rs"]
mod boot_program;
#[path = "../common/installed.rs"]
mod installed;
mod machine;
mod prerequisites;
mod processor;
mod scenario;
mod system;
mod work_dir;

use std::{
    cmp::Reverse,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::{
    machine::{Ending, Machine},
    scenario::Scenario,
    work_dir::WorkDir,
};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernel/scenarios");
    match Scenario::read_all(&directory) {
        Ok(mut scenarios) => {
            // Those that take long go first, so that at the end no processor waits for a long one on another.
            scenarios.sort_by_key(|scenario| Reverse(scenario.time_limit));
            let trials = std::iter::once(system::trial()).chain(scenarios.into_iter().map(trial)).collect();
            libtest_mimic::run(&arguments, trials).exit_code()
        }
        Err(error) => {
            eprintln!("{}: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}

fn trial(scenario: Scenario) -> Trial {
    let missing = prerequisites::missing(&scenario.needs);
    trial_unless(scenario.name.clone(), &missing, move || run(&scenario))
}

/// A test whose prerequisites are missing is ignored, or, where everything must be there, fails.
fn trial_unless(
    name: String,
    missing: &[String],
    run: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    if missing.is_empty() {
        return Trial::test(name, run);
    }
    let reason = format!("missing {}", missing.join(", "));
    let required = std::env::var_os("ERA_TEST_REQUIRE_ALL").is_some_and(|value| value == "1");
    if !required {
        eprintln!("{name}: ignored: {reason}");
    }
    Trial::test(name, move || Err(Failed::from(reason))).with_ignored_flag(!required)
}

/// Boots the machine as often as the scenario wants it; the time limit is for all boots together.
fn run(scenario: &Scenario) -> Result<(), Failed> {
    let started = Instant::now();
    let deadline = started + scenario.time_limit;
    let mut work_dir = WorkDir::new(&scenario.disks)?;
    for boot in 1..=scenario.boots {
        let ending = Machine::start(scenario, boot, &mut work_dir)?.wait(deadline)?;
        work_dir.machine_is_gone()?;
        let last = boot == scenario.boots;
        let problem = match ending {
            Ending::Finished(0) => continue,
            Ending::PowerCut if !last => continue,
            Ending::PowerCut => "the power was cut, but there is no further boot".into(),
            Ending::Finished(status) => format!("the scenario ended with status {status}"),
            Ending::Died(status) => format!("the machine ended by itself ({status})"),
            Ending::TimedOut => format!("not done after {}", seconds(scenario.time_limit)),
        };
        return Err(Failed::from(format!("boot {boot}: {problem}\n{}", work_dir.logs())));
    }
    eprintln!("{}: {} s", scenario.name, started.elapsed().as_secs());
    Ok(())
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}
