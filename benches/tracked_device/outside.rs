// SPDX-License-Identifier: GPL-3.0-or-later
//! The host's part: makes the disks, boots the machine with this program in it, and prints what it measured.
//!
//! Whatever happens, the janitor of the kernel tests' [`WorkDir`] kills the machine and removes the disks.

use std::{
    env,
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    path::Path,
    time::Instant,
};

use anyhow::{Context, bail};

use crate::{
    host_facts,
    machine::{Ending, Machine},
    parameters::MIB,
    prerequisites,
    random::Random,
    scenario::Scenario,
    table,
    work_dir::WorkDir,
};

/// Measures, unless the host lacks something, which is no error.
pub fn run() -> anyhow::Result<()> {
    let scenario = scenario()?;
    let missing = prerequisites::missing(&scenario.needs);
    if !missing.is_empty() {
        println!("tracked_device: left out: missing {}", missing.join(", "));
        return Ok(());
    }
    // On a disk for sure, which /tmp need not be.
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    table::head(&host_facts::describe(dir)?);
    tempfile::env::override_temp_dir(dir).ok().context("the directory for temporary files is set already")?;
    eprintln!("tracked_device: two minutes of measuring follow");
    print!("{}", measure(&scenario)?);
    Ok(())
}

/// The machine is described like that of a scenario of the kernel tests.
fn scenario() -> anyhow::Result<Scenario> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/tracked_device");
    let scenarios = Scenario::read_all(&directory).with_context(|| directory.display().to_string())?;
    let ours = scenarios.into_iter().find(|scenario| scenario.name == "tracked_device");
    ours.with_context(|| format!("{}: no tracked_device.sh", directory.display()))
}

/// Boots the machine and returns the tables.
fn measure(scenario: &Scenario) -> anyhow::Result<String> {
    let mut work_dir = WorkDir::new(&scenario.disks)?;
    for (number, disk) in (0..).zip(&scenario.disks) {
        fill(&work_dir.path().join(disk.file_name()), number)?;
    }
    // The host's files are the machine's: there, too, the link leads to this program.
    symlink(env::current_exe()?, work_dir.host_dir().join("tracked_device"))?;
    let only_boot = scenario.boots;
    let deadline = Instant::now() + scenario.time_limit;
    let ending = Machine::start(scenario, only_boot, &mut work_dir)?.wait(deadline)?;
    work_dir.machine_is_gone()?;
    let problem = match ending {
        Ending::Finished(0) => return Ok(fs::read_to_string(work_dir.host_dir().join("table"))?),
        Ending::Finished(status) => format!("measuring ended with status {status}"),
        Ending::Died(status) => format!("the machine ended by itself ({status})"),
        Ending::TimedOut => format!("not done after {} s", scenario.time_limit.as_secs()),
        Ending::PowerCut => "the machine asked for a power cut".into(),
    };
    bail!("{problem}\n{}", work_dir.logs())
}

/// Replaces the holes of a file by data, so that the first to write to a place does not pay for the host's filesystem
/// finding room for it.
fn fill(path: &Path, seed: u64) -> anyhow::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    let mut bytes = vec![0; usize::try_from(MIB)?];
    Random::new(seed).fill(&mut bytes);
    for _ in 0..file.metadata()?.len() / MIB {
        file.write_all(&bytes).with_context(|| format!("{}: cannot write", path.display()))?;
    }
    file.sync_all()?;
    Ok(())
}
