// SPDX-License-Identifier: GPL-3.0-or-later
//! The filesystems on a device, directly or on devices stacked on it, as far as this process sees them mounted.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use devicemapper::Device;
use rustix::fs::{AtFlags, StatxFlags, statx};

/// A mounted filesystem, open. As long as it is open it cannot be unmounted.
#[derive(Debug)]
pub struct Mount {
    /// Where it is mounted.
    pub path: PathBuf,
    /// What freezing and thawing need.
    pub directory: File,
    /// Whether nothing can be written to the filesystem, by whatever path.
    pub read_only: bool,
}

/// Opens each filesystem that is mounted on a device or on what is stacked on it, once each.
pub fn on(device: Device) -> anyhow::Result<Vec<Mount>> {
    let mut devices = HashSet::new();
    add_with_holders(device, &mut devices)?;
    let text = fs::read("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
    let mut mounts = Vec::new();
    let mut seen = HashSet::new();
    for line in text.split(|&b| b == b'\n').filter_map(parse) {
        // btrfs and others have numbers of their own: there the source tells.
        let source = || fs::metadata(&line.source).ok().map(|m| Device::from(m.rdev()));
        let is_on_it = devices.contains(&line.device) || source().is_some_and(|d| devices.contains(&d));
        if is_on_it && seen.insert(line.device) {
            // Covered by another mount since: then the descriptor is one of that, and another line must serve.
            match open(&line) {
                Ok(Some(directory)) => {
                    mounts.push(Mount { path: line.path, directory, read_only: line.read_only })
                }
                Ok(None) => {
                    seen.remove(&line.device);
                }
                Err(e) => {
                    return Err(e).with_context(|| format!("{}: cannot open", line.path.display()));
                }
            }
        }
    }
    Ok(mounts)
}

/// Opens a mount; `None` where another one covers it by now, or it is gone.
fn open(line: &Line) -> io::Result<Option<File>> {
    match File::open(&line.path) {
        Ok(file) => {
            // Not the number of the device: btrfs gives each subvolume one of its own.
            let found = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
            Ok((found.stx_mnt_id == line.id).then_some(file))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn add_with_holders(device: Device, devices: &mut HashSet<Device>) -> anyhow::Result<()> {
    if !devices.insert(device) {
        return Ok(());
    }
    let holders = format!("/sys/dev/block/{device}/holders");
    let Ok(entries) = fs::read_dir(&holders) else { return Ok(()) };
    for entry in entries {
        let path = entry.with_context(|| holders.clone())?.path().join("dev");
        let number = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let holder = number.trim().parse().with_context(|| path.display().to_string())?;
        add_with_holders(holder, devices)?;
    }
    Ok(())
}

/// What a line of mountinfo says.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    id: u64,
    device: Device,
    path: PathBuf,
    source: PathBuf,
    /// Of the filesystem, not of this mount: a filesystem can be mounted for reading in one place and for writing in another.
    read_only: bool,
}

/// Reads a line as proc(5) describes it:
/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn parse(line: &[u8]) -> Option<Line> {
    let fields: Vec<&[u8]> = line.split(|&b| b == b' ').collect();
    let end = fields.iter().position(|field| *field == b"-")?;
    Some(Line {
        id: str::from_utf8(fields.first()?).ok()?.parse().ok()?,
        device: str::from_utf8(fields.get(2)?).ok()?.parse().ok()?,
        path: unescape(fields.get(4)?),
        source: unescape(fields.get(end + 2)?),
        read_only: fields.get(end + 3)?.split(|&b| b == b',').any(|option| option == b"ro"),
    })
}

/// Blanks and backslashes are written as three octal digits.
fn unescape(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|_| first == b'\\').and_then(|digits| {
            let digits = str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        bytes.push(octal.unwrap_or(first));
        rest = if octal.is_some() { &tail[3..] } else { tail };
    }
    Path::new(&OsString::from_vec(bytes)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_mountinfo() {
        let line =
            parse(b"36 35 98:7 /mnt1 /a\\040b rw,noatime master:1 - ext3 /dev/root rw,errors=continue")
                .unwrap();
        assert_eq!((line.id, line.device), (36, "98:7".parse().unwrap()));
        assert_eq!(line.path, Path::new("/a b"));
        assert_eq!(line.source, Path::new("/dev/root"));
        assert!(!line.read_only);
        let of_filesystem = |options: &str| {
            parse(format!("36 35 98:7 / /mnt rw - ext3 /dev/root {options}").as_bytes()).unwrap().read_only
        };
        assert!(of_filesystem("ro,errors=continue") && of_filesystem("ro"));
        assert!(!of_filesystem("rw,errors=remount-ro"), "an option that only has ro in it");
        for bad in ["", "36 35 98:7 / /mnt rw", "36 35 x / /mnt rw - ext3 /dev/root rw", "1 2 3:4 - a"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(b"\\134x\\040\\"), Path::new("\\x \\"));
        assert_eq!(unescape(b"\\9"), Path::new("\\9"));
    }

    #[test]
    fn no_filesystem_is_on_a_device_that_is_not_there() {
        assert!(on(Device { major: 4000, minor: 7 }).unwrap().is_empty());
    }
}
