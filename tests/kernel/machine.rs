// SPDX-License-Identifier: GPL-3.0-or-later
//! One boot of User-Mode Linux.
//!
//! The machine tells the host what happened by files in the one directory that it can write to: `status` (the
//! scenario's exit status) and `power-cut` (a wish). A machine that ends without either has crashed. As nothing in
//! it needs an orderly end, it is always killed.

use std::{
    env,
    ffi::OsString,
    fmt, fs,
    io::{self, PipeReader, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::{
    boot_program::boot_program, prerequisites, processor::Processor, scenario::Scenario, work_dir::WorkDir,
};

const MEMORY_MIB: u64 = 768;

/// Without it each boot measures for most of a second which way of computing RAID 6 is the fastest.
pub const NO_BENCHMARK: &str = "initcall_blacklist=raid6_select_algo";

/// How often the host looks what the machine has to say.
const POLL: Duration = Duration::from_millis(20);

/// How a boot came to its end.
pub enum Ending {
    Finished(i32),
    PowerCut,
    Died(ExitStatus),
    TimedOut,
}

/// A running machine; it is killed when this is dropped.
pub struct Machine {
    process: Child,
    host_dir: PathBuf,
    /// Ends when the last process of the machine is gone: all of them have the other end as their stdin. Waiting for
    /// the first process is not enough, another one might still write to the disks.
    alive: PipeReader,
    /// Free again when the machine is gone.
    _processor: Option<Processor>,
}

impl Machine {
    /// Boots a scenario on the host's files.
    pub fn start(scenario: &Scenario, boot: u32, work_dir: &mut WorkDir) -> io::Result<Self> {
        let arguments = arguments(scenario, boot, work_dir);
        Self::launch(arguments, work_dir)
    }

    /// Boots a machine with these arguments.
    pub fn launch(arguments: Vec<OsString>, work_dir: &mut WorkDir) -> io::Result<Self> {
        let (alive, stdin) = io::pipe()?;
        let processor = Processor::take();
        let mut command = contained("linux.uml", processor.as_ref());
        command
            .args(arguments)
            .current_dir(work_dir.path())
            .env("PATH", prerequisites::PATH)
            .env("TMPDIR", memory_dir(work_dir.path()))
            .process_group(0)
            .stdin(stdin)
            .stdout(work_dir.log("console")?)
            .stderr(work_dir.log("output")?);
        let process = command.spawn()?;
        // The command owns an end of the pipe, too.
        drop(command);
        work_dir.machine_runs(process.id())?;
        Ok(Self { process, host_dir: work_dir.host_dir(), alive, _processor: processor })
    }

    /// Waits for the end of this boot, and kills the machine.
    pub fn wait(mut self, deadline: Instant) -> io::Result<Ending> {
        loop {
            if let Some(status) = self.take_message("status")? {
                return Ok(Ending::Finished(status.trim().parse().map_err(io::Error::other)?));
            }
            if self.take_message("power-cut")?.is_some() {
                return Ok(Ending::PowerCut);
            }
            if let Some(status) = self.process.try_wait()? {
                return Ok(Ending::Died(status));
            }
            if Instant::now() > deadline {
                return Ok(Ending::TimedOut);
            }
            thread::sleep(POLL);
        }
    }

    fn take_message(&self, name: &str) -> io::Result<Option<String>> {
        let path = self.host_dir.join(name);
        match fs::read_to_string(&path) {
            Ok(message) => fs::remove_file(&path).map(|()| Some(message)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            // An error means that the machine has ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.process.wait();
        let _ = self.alive.read_to_end(&mut Vec::new());
    }
}

/// The first process of the machine's namespace. User-Mode Linux cannot be that itself: it aborts when its kernel
/// panics, which a first process cannot.
const FIRST_PROCESS: &str = r#""$@"; exit $?"#;

/// A command whose descendants all die with it. User-Mode Linux has helper processes: a process namespace takes them
/// along, however they were started. Only root gets one; a user namespace is no way out, as in it the host's setuid
/// programs, mount among them, do not belong to root. Otherwise the process group must do, which they do not leave as
/// long as the first one leads it. All of them stay on the processor.
fn contained(program: &str, processor: Option<&Processor>) -> Command {
    const UNSHARE: [&str; 3] = ["--pid", "--fork", "--kill-child"];
    static PERMITTED: OnceLock<bool> = OnceLock::new();
    let probe = || {
        let status = Command::new("unshare").args(UNSHARE).arg("true").stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let mut words = Vec::new();
    if let Some(processor) = processor {
        words.extend(["taskset".into(), "--cpu-list".into(), processor.number().to_string()]);
    }
    if *PERMITTED.get_or_init(probe) {
        words.push("unshare".into());
        words.extend(UNSHARE.map(String::from));
        words.extend(["sh", "-c", FIRST_PROCESS, "machine"].map(String::from));
    }
    words.push(program.into());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

fn arguments(scenario: &Scenario, boot: u32, work_dir: &WorkDir) -> Vec<OsString> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernel");
    let modules = prerequisites::modules().unwrap_or(Path::new(""));
    let program = if scenario.with_restic { env!("CARGO_BIN_EXE_era").into() } else { boot_program() };
    let mut arguments = vec![
        format!("mem={MEMORY_MIB}M"),
        // The host's files are the root, and stay as they are.
        "rootfstype=hostfs".into(),
        "ro".into(),
        quoted("init", directory.join("init.sh").display()),
        // The console goes to stdout, the first serial line, which the scenario prints on, to stderr.
        "con0=null,fd:1".into(),
        "con=null".into(),
        "ssl0=null,fd:2".into(),
        "ssl=null".into(),
        "pty.legacy_count=0".into(),
        NO_BENCHMARK.into(),
        "quiet".into(),
        // Otherwise it leaves a directory in $HOME/.uml.
        "uml_dir=.".into(),
        quoted("PATH", prerequisites::PATH),
        quoted("ERA_TEST_DIR", directory.display()),
        quoted("ERA_TEST_SCENARIO", scenario.script.display()),
        quoted("ERA_TEST_BOOT", boot),
        quoted("ERA_TEST_HOST_DIR", work_dir.host_dir().display()),
        quoted("ERA_TEST_PROGRAM", program.display()),
        quoted("ERA_TEST_MODULES", modules.display()),
    ];
    for (number, disk) in scenario.disks.iter().enumerate() {
        arguments.push(format!("ubd{number}={}", disk.file_name()));
        arguments
            .push(quoted(&format!("ERA_TEST_DISK_{}", disk.name), format!("/dev/ubd{}", letter(number))));
    }
    arguments.into_iter().map(OsString::from).collect()
}

/// What the kernel does not know among its arguments becomes the environment of init; quotes keep spaces together.
/// Arguments of User-Mode Linux itself, like `ubd0`, know no quotes: their files are relative to its directory.
fn quoted(name: &str, value: impl fmt::Display) -> String {
    format!("{name}=\"{value}\"")
}

fn letter(number: usize) -> char {
    ('a'..='z').nth(number).unwrap_or('z')
}

/// The machine's memory is a file: on a tmpfs if there is room, for speed, or else beside the disks.
fn memory_dir(otherwise: &Path) -> &Path {
    let shared_memory = Path::new("/dev/shm");
    match rustix::fs::statvfs(shared_memory) {
        Ok(free) if free.f_bavail.saturating_mul(free.f_frsize) > MEMORY_MIB << 20 => shared_memory,
        _ => otherwise,
    }
}
