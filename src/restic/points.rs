// SPDX-License-Identifier: GPL-3.0-or-later
//! The points in time that a repository keeps: which of its snapshots are of which device, and which one is meant. No I/O.
//!
//! A repository may be shared, by devices and with snapshots that others have made. A point is a snapshot whose tags say of which
//! device it is and how large that was, and which holds nothing but one image. Whatever else is there, is nobody's business here.

use std::fmt;
use std::str::FromStr;

use anyhow::bail;
use jiff::Timestamp;
use rustic_core::TreeId;
use rustic_core::repofile::{SnapshotFile, SnapshotId};
use thiserror::Error;
use uuid::Uuid;

use super::layout::image_path;
use super::mark::Mark;
use crate::device::cursor::Cursor;
use crate::repository::points::Selector;

/// Digits of a snapshot's id that name it: as restic shows it.
const SHORT: usize = 8;

/// The fewest digits that may name it.
const FEWEST: usize = 4;

/// A point in time.
#[derive(Clone, Debug)]
pub struct Point {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// When it was made.
    pub time: Timestamp,
    /// The machine that made it. Machines that were cloned have devices with one identity.
    pub host: String,
    /// What the device was called.
    pub name: String,
    /// What the tags say.
    pub mark: Mark,
    /// The snapshot's tree.
    pub tree: TreeId,
    /// Bytes that were new to the repository, before they were compressed; 0 where that is not known, as of a copy.
    pub added_bytes: u64,
    /// Whether the snapshot may not be deleted now, as it says itself.
    pub is_protected: bool,
}

impl Point {
    /// The point that a snapshot is, if it is one.
    pub fn of(snapshot: &SnapshotFile) -> Option<Self> {
        let mark = Mark::of(snapshot.tags.iter().map(String::as_str))?;
        let mut paths = snapshot.paths.iter();
        let (Some(path), None) = (paths.next(), paths.next()) else { return None };
        let name = path.strip_prefix('/')?.strip_suffix(".img")?;
        if image_path(name).to_str() != Some(path) || name.contains('/') {
            return None;
        }
        Some(Self {
            snapshot: snapshot.id,
            time: snapshot.time.timestamp(),
            host: snapshot.hostname.clone(),
            name: name.to_owned(),
            mark,
            tree: snapshot.tree,
            added_bytes: snapshot.summary.as_ref().map_or(0, |summary| summary.data_added),
            is_protected: snapshot.must_keep(&jiff::Zoned::now()),
        })
    }

    /// How it is named: by the beginning of the snapshot's id.
    pub fn id(&self) -> String {
        self.hex()[..SHORT].to_owned()
    }

    fn hex(&self) -> String {
        self.snapshot.to_hex().as_str().to_owned()
    }
}

/// A device of a machine, and its points.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its identity.
    pub id: Uuid,
    /// The machine.
    pub host: String,
    /// What it was called at its newest point.
    pub name: String,
    /// Oldest first; never none.
    pub points: Vec<Point>,
}

impl Device {
    /// How messages call it.
    pub fn title(&self) -> String {
        format!("{} ({} of {})", self.name, self.id, self.host)
    }

    /// Whether this is what the device is called: by name or identity, with its machine before that or not.
    fn is_called(&self, wanted: &str) -> bool {
        let is_named = |wanted: &str| self.name == wanted || Uuid::from_str(wanted) == Ok(self.id);
        let on_host =
            wanted.strip_prefix(&self.host).and_then(|rest| rest.strip_prefix(':')).is_some_and(is_named);
        on_host || is_named(wanted)
    }

    /// Of the points with a cursor the one that was made last, whatever the clock said then.
    pub fn last_with_cursor(&self) -> Option<(&Point, Cursor)> {
        let as_made = self.points.iter().filter(|point| point.mark.is_as_made(point.tree.to_hex().as_str()));
        let with_cursor = as_made.filter_map(|point| Some((point, point.mark.cursor?)));
        with_cursor.max_by_key(|(point, _)| point.mark.order(point.time))
    }

    /// The point that was made last, whatever the clock said then.
    pub fn made_last(&self) -> Option<&Point> {
        self.points.iter().max_by_key(|point| point.mark.order(point.time))
    }

    /// The newest point.
    pub fn last(&self) -> Option<&Point> {
        self.points.last()
    }
}

/// The points of this device that this machine has made.
pub fn of_device(devices: Vec<Device>, id: Uuid, host: &str) -> Option<Device> {
    devices.into_iter().find(|device| device.id == id && device.host == host)
}

/// All devices that there are points of, in the order of their names.
pub fn devices(snapshots: &[SnapshotFile]) -> Vec<Device> {
    group(snapshots.iter().filter_map(Point::of).collect())
}

fn group(mut points: Vec<Point>) -> Vec<Device> {
    points.sort_by_key(|point| (point.time, point.hex()));
    let mut devices: Vec<Device> = Vec::new();
    for point in points {
        match devices.iter_mut().find(|device| device.id == point.mark.device && device.host == point.host) {
            Some(device) => {
                device.name.clone_from(&point.name);
                device.points.push(point);
            }
            None => {
                let (id, host, name) = (point.mark.device, point.host.clone(), point.name.clone());
                devices.push(Device { id, host, name, points: vec![point] });
            }
        }
    }
    devices.sort_by(|a, b| (&a.name, a.id, &a.host).cmp(&(&b.name, b.id, &b.host)));
    devices
}

/// The device that is meant: by its name or its identity; the only one where none is named.
pub fn choose(devices: Vec<Device>, wanted: Option<&str>) -> anyhow::Result<Device> {
    let all = listed(&devices);
    let mut fitting: Vec<_> =
        devices.into_iter().filter(|device| wanted.is_none_or(|wanted| device.is_called(wanted))).collect();
    match (fitting.len(), wanted) {
        (1, _) => Ok(fitting.remove(0)),
        (0, None) => bail!("there are no points yet"),
        (0, Some(wanted)) if all.is_empty() => {
            bail!("there are no points yet, of {wanted} or any other device")
        }
        (0, Some(wanted)) => bail!("there is no device {wanted}; there are {all}"),
        (_, None) => bail!("there is more than one device; pass --device NAME. There are {all}"),
        (_, Some(wanted)) => {
            bail!(
                "there is more than one device that was called {wanted}; pass --device HOST:NAME or HOST:UUID. There are {all}"
            )
        }
    }
}

fn listed(devices: &[Device]) -> String {
    devices.iter().map(Device::title).collect::<Vec<_>>().join(", ")
}

/// How a point is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// By the beginning of its snapshot's id.
    Id(String),
    /// So many before the last one.
    FromLast(usize),
    /// The last one that is not after this time.
    Time(Timestamp),
}

/// A text that names no point.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "{0:?} is no point: latest, latest~2, the id of one (4 digits of it or more), or a time such as 2026-11-24 or 2026-11-24T03:00"
)]
pub struct NoPoint(String);

impl FromStr for Which {
    type Err = NoPoint;

    fn from_str(text: &str) -> Result<Self, NoPoint> {
        let is_hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if is_hex && (FEWEST..=64).contains(&text.len()) {
            return Ok(Which::Id(text.into()));
        }
        match text.parse() {
            Ok(Selector::FromLast(back)) => Ok(Which::FromLast(back)),
            Ok(Selector::Time(time)) => Ok(Which::Time(time)),
            _ => Err(NoPoint(text.into())),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Id(id) => f.write_str(id),
            Which::FromLast(back) => Selector::FromLast(*back).fmt(f),
            Which::Time(time) => time.fmt(f),
        }
    }
}

/// The device and the place among its points of the one that is meant. Ids need no device: they are of one only.
pub fn find(devices: Vec<Device>, wanted: Option<&str>, which: &Which) -> anyhow::Result<(Device, usize)> {
    if let Which::Id(id) = which {
        let devices = match wanted {
            Some(_) => vec![choose(devices, wanted)?],
            None => devices,
        };
        return find_id(devices, id);
    }
    let device = choose(devices, wanted)?;
    let points = &device.points;
    let found = match which {
        Which::FromLast(back) => points.len().checked_sub(back + 1),
        Which::Time(time) => points.iter().rposition(|point| point.time <= *time),
        Which::Id(_) => None,
    };
    match (found, points.as_slice()) {
        (Some(at), _) => Ok((device, at)),
        (None, [first, .., last] | [first @ last]) => bail!(
            "there is no point {which} of {}; there are {}, from {} ({}) to {} ({})",
            device.name,
            points.len(),
            first.id(),
            first.time,
            last.id(),
            last.time
        ),
        (None, []) => bail!("there are no points yet"),
    }
}

fn find_id(devices: Vec<Device>, id: &str) -> anyhow::Result<(Device, usize)> {
    let mut found = None;
    for (nth, device) in devices.iter().enumerate() {
        for (at, point) in device.points.iter().enumerate().filter(|(_, point)| point.hex().starts_with(id)) {
            if let Some((other, other_at)) = found.replace((nth, at)) {
                let other: &Point = &devices[other].points[other_at];
                bail!("{id} is more than one point: {} and {}; give more digits", other.hex(), point.hex());
            }
        }
    }
    let Some((nth, at)) = found else {
        bail!("there is no point {id}; era points lists those that there are")
    };
    Ok((devices.into_iter().nth(nth).unwrap_or_else(|| unreachable!("it was found")), at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Era;

    fn point(device: u128, name: &str, second: i64, id: &str) -> Point {
        let hex = format!("{id:0<64}");
        Point {
            snapshot: hex.parse().unwrap(),
            time: Timestamp::from_second(second).unwrap(),
            host: "here".into(),
            name: name.into(),
            mark: Mark {
                device: Uuid::from_u128(device),
                cursor: (second % 2 == 0).then(|| Cursor {
                    generation: Uuid::from_u128(9),
                    era: Era(u32::try_from(second).unwrap()),
                }),
                device_bytes: 4096,
                segment_bytes: 1 << 20,
                number: None,
                tree: Some(TreeId::default().to_hex().as_str().to_owned()),
                how: None,
            },
            tree: TreeId::default(),
            added_bytes: 0,
            is_protected: false,
        }
    }

    fn some() -> Vec<Device> {
        group(vec![
            point(2, "root", 20, "ab12"),
            point(1, "vol", 10, "12345678"),
            point(1, "data", 31, "abcd"),
            point(1, "data", 30, "dead"),
            point(3, "root", 40, "beef"),
        ])
    }

    fn found(wanted: Option<&str>, which: &str) -> Result<String, String> {
        match find(some(), wanted, &which.parse().unwrap()) {
            Ok((device, at)) => Ok(device.points[at].id()[..4].to_owned()),
            Err(e) => Err(e.to_string()),
        }
    }

    #[test]
    fn points_are_of_devices_whatever_they_were_called() {
        let devices = some();
        let names: Vec<_> =
            devices.iter().map(|device| (device.name.as_str(), device.points.len())).collect();
        assert_eq!(names, [("data", 3), ("root", 1), ("root", 1)]);
        assert_eq!(devices[0].last_with_cursor().unwrap().0.id(), "dead0000");
        // Made last, although the clock says otherwise; and what somebody has changed since is no beginning.
        let mut points =
            vec![point(1, "vol", 30, "dead"), point(1, "vol", 20, "beef"), point(1, "vol", 10, "abcd")];
        for (at, number) in [1, 2, 3].into_iter().enumerate() {
            points[at].mark.number = Some(number);
        }
        points[2].mark.tree = Some("decaf0".into());
        assert_eq!(group(points)[0].last_with_cursor().unwrap().0.id(), "beef0000");
    }

    #[test]
    fn who_does_not_say_which_is_told_which_there_are() {
        for (wanted, says) in [
            (None, "more than one device; pass --device NAME. There are data (0000"),
            (Some("root"), "more than one device that was called root; pass --device HOST:NAME or HOST:UUID"),
            (Some("vol"), "there is no device vol; there are data"),
        ] {
            let error = choose(some(), wanted).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert_eq!(choose(some(), Some(&Uuid::from_u128(3).to_string())).unwrap().points[0].id(), "beef0000");
        assert_eq!(choose(some(), Some("data")).unwrap().id, Uuid::from_u128(1));
        assert!(choose(Vec::new(), None).unwrap_err().to_string().contains("no points yet"));
    }

    #[test]
    fn devices_of_cloned_machines_are_two() {
        let mut clone = point(1, "data", 50, "c10e");
        clone.host = "there".into();
        let devices = group(vec![point(1, "data", 40, "0419"), clone]);
        assert_eq!(devices.len(), 2);
        let called = |wanted: &str| {
            choose(devices.clone(), Some(wanted)).map(|device| device.points[0].id()[..4].to_owned())
        };
        let error = called("data").unwrap_err().to_string();
        assert!(error.contains("pass --device HOST:NAME") && error.contains(" of there)"), "{error}");
        assert_eq!(called("there:data").unwrap(), "c10e");
        assert_eq!(called(&format!("here:{}", Uuid::from_u128(1))).unwrap(), "0419");
        assert!(called("elsewhere:data").is_err());
        let id =
            |host: &str| of_device(devices.clone(), Uuid::from_u128(1), host).map(|it| it.points[0].id());
        assert_eq!(id("there").as_deref(), Some("c10e0000"));
        assert_eq!(id("elsewhere"), None);
    }

    #[test]
    fn points_are_found() {
        assert_eq!(found(Some("data"), "latest").unwrap(), "abcd");
        assert_eq!(found(Some("data"), "latest~2").unwrap(), "1234");
        assert!(
            found(Some("data"), "latest~3").unwrap_err().contains("no point latest~3 of data; there are 3")
        );
        assert_eq!(found(Some("data"), "1970-01-01T00:00:30Z").unwrap(), "dead");
        assert!(found(None, "latest").is_err());
        // By an id, of whichever device.
        assert_eq!(found(None, "beef").unwrap(), "beef");
        assert_eq!(found(None, "12345678").unwrap(), "1234");
        assert!(found(None, "feed").unwrap_err().contains("no point feed"));
        assert!(found(Some("data"), "beef").is_err());
    }

    #[test]
    fn what_names_a_point() {
        assert_eq!("20261124".parse(), Ok(Which::Id("20261124".into())));
        assert!(matches!("2026-11-24".parse(), Ok(Which::Time(_))));
        for bad in ["", "12", "abc", "host", "ABCD", "latest2", "repo.git"] {
            assert!(bad.parse::<Which>().is_err(), "{bad}");
        }
    }
}
