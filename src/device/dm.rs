// SPDX-License-Identifier: GPL-3.0-or-later
//! Device-mapper by ioctls of this process.
//!
//! A thin layer over the crate `devicemapper` that adds four things: device nodes where no udev makes them; errors
//! that people can read; the promise that a suspended device is never asked for its status, since the
//! kernel would not answer until it is resumed, and the question could not be killed; and resuming without waiting
//! for udev, which may need the very device that is suspended.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use devicemapper::{DM, DevId, Device, DmError, DmFlags, DmName, DmOptions, DmUuid, errors};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::failpoint;
use super::table::{EraStatus, SnapshotStatus, Target};
use crate::sys::{DmControl, DmRequest};

/// Where device-mapper's devices have their nodes.
const NODES: &str = "/dev/mapper";

/// The socket that is there while udev runs.
const UDEV: &str = "/run/udev/control";

/// What the kernel says of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Its number.
    pub number: Device,
    /// Its uuid; empty where it has none.
    pub uuid: String,
    /// Whether I/O to it waits.
    pub suspended: bool,
    /// Whether it has a table in use.
    pub live: bool,
    /// Whether a table is loaded that is not in use yet.
    pub loaded: bool,
    /// How often it is open, by programs, mounts and other devices.
    pub open_count: i32,
}

/// Who a device is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Filesystems and people: udev looks what is on it.
    Everybody,
    /// Us: udev leaves it alone, or its filesystem would be found twice.
    Ourselves,
}

impl Audience {
    fn options(self) -> DmOptions {
        match self {
            Audience::Everybody => DmOptions::default(),
            Audience::Ourselves => DmOptions::private(),
        }
    }
}

/// The connection to device-mapper.
pub struct Dm {
    dm: DM,
    control: DmControl,
}

impl Dm {
    /// Connects to device-mapper.
    pub fn open() -> anyhow::Result<Self> {
        let dm = DM::new().map_err(explain).context(
            "device-mapper cannot be used; is this root, and is its module loaded (modprobe dm-mod)?",
        )?;
        let control = DmControl::open().context("/dev/mapper/control")?;
        Ok(Self { dm, control })
    }

    /// The state of a device, if there is one of this name.
    pub fn state(&self, name: &str) -> anyhow::Result<Option<State>> {
        let info = match self.dm.device_info(&DevId::Name(dm_name(name)?)) {
            Err(e) if is_gone(&e) => return Ok(None),
            result => result.map_err(explain).with_context(|| name.to_owned())?,
        };
        let flags = info.flags();
        Ok(Some(State {
            number: info.device(),
            uuid: info.uuid().map(ToString::to_string).unwrap_or_default(),
            suspended: flags.contains(DmFlags::DM_SUSPEND),
            live: flags.contains(DmFlags::DM_ACTIVE_PRESENT),
            loaded: flags.contains(DmFlags::DM_INACTIVE_PRESENT),
            open_count: info.open_count(),
        }))
    }

    /// The name of the device that has a uuid, if there is one.
    pub fn name_of(&self, uuid: &str) -> anyhow::Result<Option<String>> {
        let id = DmUuid::new(uuid).map_err(explain)?;
        match self.dm.device_info(&DevId::Uuid(id)) {
            Err(e) if is_gone(&e) => Ok(None),
            result => {
                let info = result.map_err(explain).with_context(|| uuid.to_owned())?;
                Ok(info.name().map(ToString::to_string))
            }
        }
    }

    /// Makes a device with a table of one target and activates it; nothing is left of it where that fails.
    pub fn create(
        &self,
        name: &str,
        uuid: &str,
        sectors: u64,
        target: &Target,
        audience: Audience,
    ) -> anyhow::Result<Device> {
        let id = DmUuid::new(uuid).map_err(explain)?;
        self.dm
            .device_create(dm_name(name)?, Some(id), DmOptions::default())
            .map_err(explain)
            .with_context(|| format!("{name}: cannot make the device"))?;
        self.activate(name, sectors, target, audience).inspect_err(|_| {
            // The first error is the one to tell of.
            let _ = self.remove(name);
        })
    }

    /// Gives a device that has no table in use one, and a node.
    pub fn activate(
        &self,
        name: &str,
        sectors: u64,
        target: &Target,
        audience: Audience,
    ) -> anyhow::Result<Device> {
        self.load(name, sectors, target)?;
        let info = self
            .dm
            .device_suspend(&DevId::Name(dm_name(name)?), audience.options())
            .map_err(explain)
            .with_context(|| format!("{name}: cannot activate the device"))?;
        make_node(name, info.device())?;
        Ok(info.device())
    }

    /// Loads a table that the next resume puts into use. Of dm-era only while suspended: loading reads the metadata.
    pub fn load(&self, name: &str, sectors: u64, target: &Target) -> anyhow::Result<()> {
        let table = [(0, sectors, target.name().to_owned(), target.to_string())];
        self.dm
            .table_load(&DevId::Name(dm_name(name)?), &table, DmOptions::default())
            .map(drop)
            .map_err(explain)
            .with_context(|| {
                format!("{name}: the kernel refuses the table 0 {sectors} {} {target}", target.name())
            })
    }

    /// Forgets a table that was loaded and is not in use.
    pub fn clear(&self, name: &str) -> anyhow::Result<()> {
        self.issue(&DmRequest::clear(name)?)
            .with_context(|| format!("{name}: cannot clear the table that was loaded"))
    }

    /// Resumes a device, putting a loaded table into use, without waiting for udev. The kernel suspends a device that is
    /// not suspended for the time of the swap, all within one ioctl.
    pub fn resume(&self, name: &str) -> anyhow::Result<()> {
        self.issue(&DmRequest::resume(name)?).with_context(|| format!("{name}: cannot resume the device"))
    }

    /// Issues a request that was made before.
    pub fn issue(&self, request: &DmRequest) -> io::Result<()> {
        request.issue(&self.control)
    }

    /// Resumes a device that was found suspended, and sees that it has its node.
    pub fn ready(&self, name: &str, state: &State) -> anyhow::Result<()> {
        if state.suspended {
            self.resume(name)?;
        }
        make_node(name, state.number)
    }

    /// Sends a message to a target. It must not be suspended.
    pub fn message(&self, name: &str, message: &str) -> anyhow::Result<()> {
        self.dm
            .target_msg(&DevId::Name(dm_name(name)?), None, message)
            .map(drop)
            .map_err(explain)
            .with_context(|| format!("{name}: message {message}"))
    }

    /// Takes a device away. udev and others may have it open for a moment: that is waited for.
    pub fn remove(&self, name: &str) -> anyhow::Result<()> {
        let id = DevId::Name(dm_name(name)?);
        let mut tries = 0;
        loop {
            match self.dm.device_remove(&id, DmOptions::default()).map_err(explain) {
                Err(e) if is_busy(&e) && tries < BUSY_TRIES => {
                    tries += 1;
                    thread::sleep(BUSY_WAIT);
                }
                Err(e) => return Err(e.context(format!("{name}: cannot remove the device"))),
                Ok(_) => return remove_node(name),
            }
        }
    }

    /// The table in use: its length in sectors and its target, or what it says where that is none of ours.
    pub fn table(&self, name: &str) -> anyhow::Result<(u64, Target)> {
        let options = DmOptions::default().set_flags(DmFlags::DM_STATUS_TABLE);
        match self.lines(name, options)?.as_slice() {
            [(0, sectors, target, params)] => Ok((*sectors, Target::parse(target, params)?)),
            lines => bail!("{name}: a table of {} targets is not one of ours", lines.len()),
        }
    }

    /// The status of a dm-era device that is not suspended.
    pub fn era_status(&self, name: &str) -> anyhow::Result<EraStatus> {
        if self.state(name)?.is_none_or(|state| state.suspended || !state.live) {
            bail!("{name}: the device is suspended: its status cannot be asked for without hanging");
        }
        match self.lines(name, DmOptions::default())?.as_slice() {
            [(_, _, target, status)] if target == "era" => {
                Ok(status.parse::<EraStatus>().with_context(|| name.to_owned())?)
            }
            _ => bail!("{name}: this is not a dm-era device"),
        }
    }

    /// The status of a snapshot.
    pub fn snapshot_status(&self, name: &str) -> anyhow::Result<SnapshotStatus> {
        match self.lines(name, DmOptions::default())?.as_slice() {
            [(_, _, target, status)] if target == "snapshot" => Ok(status.parse()?),
            _ => bail!("{name}: this is not a snapshot"),
        }
    }

    /// The names of all dm-era devices, and of those with a uuid that `is_ours` knows, whatever their table. Devices come
    /// and go meanwhile, the snapshot of a cut for example.
    pub fn era_devices(&self, is_ours: impl Fn(&str) -> bool) -> anyhow::Result<Vec<String>> {
        failpoint::arm();
        let devices = self.dm.list_devices().map_err(explain).context("cannot list devices")?;
        failpoint::reach("status-listed");
        let mut names = Vec::new();
        for (id, ..) in devices {
            let options = DmOptions::default().set_flags(DmFlags::DM_STATUS_TABLE);
            let name = id.to_string();
            let Some(state) = self.state(&name)? else { continue };
            let (_, lines) = match self.dm.table_status(&DevId::Name(&id), options) {
                Err(e) if is_gone(&e) => continue,
                result => {
                    result.map_err(explain).with_context(|| format!("{name}: cannot read its table"))?
                }
            };
            let is_ours = state.live && is_ours(&state.uuid);
            if is_ours || lines.iter().any(|(_, _, target, _)| target == "era") {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn lines(&self, name: &str, options: DmOptions) -> anyhow::Result<Vec<(u64, u64, String, String)>> {
        let (_, lines) = self
            .dm
            .table_status(&DevId::Name(dm_name(name)?), options)
            .map_err(explain)
            .with_context(|| format!("{name}: cannot read its table"))?;
        Ok(lines)
    }
}

/// The path that people use for a device.
pub fn node(name: &str) -> PathBuf {
    Path::new(NODES).join(name)
}

fn is_busy(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::ResourceBusy)
}

/// How often, and after how long each time, to try again to remove a device that is open.
const BUSY_TRIES: u32 = 100;
const BUSY_WAIT: Duration = Duration::from_millis(20);

/// ENXIO: what device-mapper answers where there is no such device.
const NO_SUCH_DEVICE: i32 = 6;

fn is_gone(error: &DmError) -> bool {
    matches!(error, DmError::Core(errors::Error::Ioctl(_, _, _, errno)) if **errno as i32 == NO_SUCH_DEVICE)
}

fn dm_name(name: &str) -> anyhow::Result<&DmName> {
    DmName::new(name).map_err(explain).with_context(|| format!("{name:?} is no name for a device"))
}

/// The system's error in a few words: the crate's own text has the whole ioctl header in it.
fn explain(error: DmError) -> anyhow::Error {
    match error {
        DmError::Core(errors::Error::Ioctl(_, _, _, errno)) => {
            io::Error::from_raw_os_error(*errno as i32).into()
        }
        other => anyhow!("{other}"),
    }
}

/// Makes the node below /dev/mapper where no udev runs, as in an initramfs; udev makes it otherwise, and has by the time
/// that the ioctl returns.
fn make_node(name: &str, number: Device) -> anyhow::Result<()> {
    if Path::new(UDEV).exists() {
        return Ok(());
    }
    let path = node(name);
    // An old node may be of another number.
    remove_node(name)?;
    fs::create_dir_all(NODES).with_context(|| NODES.to_owned())?;
    mknodat(
        CWD,
        &path,
        FileType::BlockDevice,
        Mode::from_raw_mode(0o660),
        makedev(number.major, number.minor),
    )
    .with_context(|| format!("{}: cannot make the device node", path.display()))
}

fn remove_node(name: &str) -> anyhow::Result<()> {
    if Path::new(UDEV).exists() {
        return Ok(());
    }
    match fs::remove_file(node(name)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("{}: cannot remove the device node", node(name).display()))
        }
        _ => Ok(()),
    }
}
