// SPDX-License-Identifier: GPL-3.0-or-later
//! `era mount`: the points of a repository as files.
//!
//! The program starts itself once more to serve the mount, and returns when that has succeeded. The second process tells
//! the first through its stdout, which nobody else has, how it went; only then it leaves the first one's session.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, bail};
use rustix::fs::FileType;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::restic;
use crate::mount::{Mount, Unmounter, check};
use crate::report;
use crate::repository::files::PointFiles;
use crate::repository::images::Images;
use crate::repository::points::split_place;
use crate::repository::{Access, Repository};

const EXAMPLES: &str = "\
Examples:
  era mount /srv/backups/data /mnt/points
  ls -l /mnt/points
  mount -o loop,ro /mnt/points/2026-11-24T03:00:00Z_17.img /mnt/then
  cp /mnt/then/etc/fstab /etc && umount /mnt/then /mnt/points

Each point is a file that holds the device as it was; latest is a link to the last
one. Points that are added while it is mounted appear. Every block is checked
against its hash when it is read; one that is damaged is an I/O error, and a
message says where. era prune waits until it is unmounted. Of a restic repository
those points are shown that there are when it is mounted.

It is served by a process in the background, which ends with umount DIR (for
ordinary users: fusermount3 -u DIR), or with SIGTERM. Its messages go where those
of this command go if that is a terminal or a file, else nowhere; run it with
--foreground in a service.

An ext4 that was frozen for the moment of the copy, as era send does where it can,
is mounted like this. Others may have to replay their journal, which they cannot
in a file that is read-only: mount ext4 with ro,noload and XFS with
ro,norecovery,nouuid, or copy the image first.";

/// What the process in the background says when all is well; anything else is an error.
const MOUNTED: &[u8] = b"mounted";

/// Show every point of a repository as an image file in a directory
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Directory of the repository, or restic:URL; with a point, only that is shown
    #[arg(value_name = "REPO[@POINT]")]
    place: PathBuf,

    /// Empty directory to show them in
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// The device, by name or uuid, where a restic repository has points of several
    #[arg(long, value_name = "NAME")]
    device: Option<String>,

    /// Let other users read them, too
    #[arg(long)]
    allow_other: bool,

    /// Stay in the foreground until it is unmounted
    #[arg(long, short)]
    foreground: bool,

    /// Serve it, and tell on stdout how it went
    #[arg(long, hide = true, conflicts_with = "foreground")]
    serve: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if args.foreground {
        return serve(args, || Ok(()));
    }
    if !args.serve {
        return in_background(args);
    }
    let mut is_mounted = false;
    let result = serve(args, || {
        leave()?;
        is_mounted = true;
        tell(MOUNTED)
    });
    match result {
        // The one that waits says it.
        Err(e) if !is_mounted => tell(format!("{e:#}").as_bytes()),
        result => result,
    }
}

/// Starts this program once more; returns when it has mounted.
fn in_background(args: &Args) -> anyhow::Result<()> {
    // Not the path: the program may have been replaced since. By its name others say whom they wait for.
    let mut child = Command::new("/proc/self/exe")
        .arg0("era")
        .args(["mount", "--serve"])
        .args(args.allow_other.then_some("--allow-other"))
        .args(args.device.iter().map(|device| format!("--device={device}")))
        .args([OsStr::new("--"), args.place.as_os_str(), args.directory.as_os_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the process that is to serve it")?;
    let mut said = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut said).context("cannot hear of the process that is to serve it")?;
    }
    if said == MOUNTED {
        return Ok(());
    }
    let status = child.wait().context("cannot wait for the process that was to serve it")?;
    if said.is_empty() {
        bail!("{}: the process that was to serve it has ended: {status}", args.directory.display());
    }
    bail!("{}", String::from_utf8_lossy(&said))
}

/// Mounts, says so, and serves until it is unmounted.
fn serve(args: &Args, mounted: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    check(&args.directory)?;
    // It is looked at again later, from another directory.
    let directory = absolute(&args.directory)?;
    let (points, source, _repository) = open(args)?;
    let mut mount = Mount::new(points, &source, &directory, args.allow_other)?;
    unmount_on_signals(mount.unmounter(), &directory)?;
    mounted()?;
    mount.run()
}

/// What is to be shown, where it is from, and the lock of a directory.
fn open(args: &Args) -> anyhow::Result<(Box<dyn PointFiles>, PathBuf, Option<Repository>)> {
    if let Some(place) = restic::place_of(args.place.as_os_str())? {
        let (points, name) = restic::files(&place, args.device.as_deref())?;
        return Ok((points, name.into(), None));
    }
    restic::refuse_device(args.device.as_deref(), &args.place)?;
    let (path, only) = split_place(&args.place)?;
    let repository = Repository::open(&path, Access::Read)?;
    let path = absolute(&path)?;
    let images = Images::open(&path, only)?;
    Ok((Box::new(images), path, Some(repository)))
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    fs::canonicalize(path).with_context(|| path.display().to_string())
}

/// A polite signal unmounts. What is in use then stays until it no longer is; a second signal ends that as well.
fn unmount_on_signals(mut unmounter: Unmounter, directory: &Path) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot wait for signals")?;
    let name = directory.display().to_string();
    thread::spawn(move || {
        for (count, signal) in signals.forever().enumerate() {
            if count > 0 {
                // Ends the process; cannot fail for these signals.
                let _ = emulate_default_handler(signal);
            }
            match unmounter.unmount() {
                Ok(false) => {}
                Ok(true) => report::note(format_args!(
                    "{name}: is unmounted, but something of it is in use: this process ends when that does"
                )),
                Err(e) => report::fail(format_args!("cannot unmount: {e:#}")),
            }
        }
    });
    Ok(())
}

/// Lets go of whatever belongs to those who started this, but for a stderr that somebody may read later.
fn leave() -> anyhow::Result<()> {
    rustix::process::setsid().context("cannot begin a session")?;
    rustix::process::chdir("/").context("cannot change to /")?;
    let kind = rustix::fs::fstat(io::stderr()).map(|stat| FileType::from_raw_mode(stat.st_mode));
    let is_lasting = matches!(kind, Ok(FileType::RegularFile)) || rustix::termios::isatty(io::stderr());
    if !is_lasting {
        dup2_stderr(nothing()?).context("cannot let go of stderr")?;
    }
    Ok(())
}

/// Says how it went to the process that waits for it, which is the last that it hears.
fn tell(how: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(how).and_then(|()| stdout.flush()).context("cannot write to stdout")?;
    dup2_stdin(nothing()?).context("cannot let go of stdin")?;
    dup2_stdout(nothing()?).context("cannot let go of stdout")
}

fn nothing() -> anyhow::Result<File> {
    File::options().read(true).write(true).open("/dev/null").context("/dev/null: cannot open")
}
