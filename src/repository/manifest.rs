// SPDX-License-Identifier: GPL-3.0-or-later
//! What a repository holds: `manifest.json`, replaced as a whole. Whatever it does not name is not there.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::file::{self, RepoFile};
use super::geometry::{Geometry, unit_bytes};
use super::hashes::UnitHash;
use super::layout;
use super::reserve;
use crate::device::cursor::Cursor;
use crate::stream::{Consistency, Kind};
use crate::units::Era;

/// Version of the format that this program writes.
const FORMAT: u32 = 1;

/// The largest manifest that is read: some hundred thousand points.
const MAX_BYTES: u64 = 256 << 20;

/// Hashes as 64 hexadecimal digits.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::UnitHash;

    pub fn serialize<S: Serializer>(hash: &Option<UnitHash>, serializer: S) -> Result<S::Ok, S::Error> {
        match hash {
            Some(hash) => serializer.serialize_str(blake3::Hash::from_bytes(*hash).to_hex().as_str()),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UnitHash>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let hash = text.map(|text| blake3::Hash::from_hex(text).map_err(de::Error::custom)).transpose()?;
        Ok(hash.map(|hash| *hash.as_bytes()))
    }
}

/// What a repository holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format of the directory.
    pub format: u32,
    /// What a program must know to use it; none so far.
    #[serde(default)]
    pub required: Vec<String>,
    /// The device that it is of.
    pub device: Uuid,
    /// The generation of the device's metadata at the last point.
    pub generation: Uuid,
    /// The first era that the last point does not cover; 0 where that is not known.
    pub era: u32,
    /// Size of dm-era's blocks.
    pub block_size_bytes: u64,
    /// Size of a unit.
    pub unit_bytes: u64,
    /// Size of the image: of the device at the last point, or of the one that the first copy is of.
    pub device_bytes: u64,
    /// The points, oldest first; none while the first copy is not whole.
    pub points: Vec<Point>,
    /// The number of the next point.
    pub next_id: u64,
    /// The first unit of the sample that is to be audited next.
    #[serde(default)]
    pub audit_next: u64,
    /// What identifies the list of hashes of an unfinished first copy, as long as nothing was added to that.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex")]
    pub base: Option<UnitHash>,
    /// What a newer program has written.
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// The name of the field that has the checksum of the others.
const CHECKSUM: &str = "checksum";

/// BLAKE3 of the object as JSON, its keys in their order, without blanks.
fn checksum(object: &Map<String, Value>) -> anyhow::Result<Value> {
    Ok(blake3::hash(&serde_json::to_vec(object)?).to_hex().as_str().into())
}

/// A kept point in time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Its number.
    pub id: u64,
    /// When its stream was begun.
    pub time: Timestamp,
    /// Whether all blocks are of one moment.
    pub consistency: Consistency,
    /// What its stream held.
    pub kind: Kind,
    /// Size of the device.
    pub device_bytes: u64,
    /// Bytes in units that are not as at the point before.
    pub changed_bytes: u64,
    /// Bytes of the stream.
    pub stream_bytes: u64,
    /// How many times the changes were read; 0 where not known.
    pub passes: u32,
    /// How long writes waited.
    pub freeze_nanoseconds: u64,
    /// Bytes of the files that lead back to it from the next point; 0 for the last one.
    pub held_bytes: u64,
    /// Units that were compared with the source though nothing said that they had changed.
    #[serde(default)]
    pub audited_units: u64,
    /// Why it was made, where that is not the usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Why it may not be what the device was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspect: Option<String>,
    /// What a newer program has written.
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Point {
    /// A point of which nothing else is known.
    pub fn new(id: u64, time: Timestamp, consistency: Consistency, kind: Kind, device_bytes: u64) -> Self {
        Self {
            id,
            time,
            consistency,
            kind,
            device_bytes,
            changed_bytes: 0,
            stream_bytes: 0,
            passes: 0,
            freeze_nanoseconds: 0,
            held_bytes: 0,
            audited_units: 0,
            note: None,
            suspect: None,
            others: Map::new(),
        }
    }
}

impl Manifest {
    /// The manifest of a repository that is to be, for the device of a stream.
    pub fn new(device: Uuid, generation: Uuid, block_size_bytes: u64, device_bytes: u64) -> Self {
        Self {
            format: FORMAT,
            required: Vec::new(),
            device,
            generation,
            era: 0,
            block_size_bytes,
            unit_bytes: unit_bytes(block_size_bytes),
            device_bytes,
            points: Vec::new(),
            next_id: 1,
            audit_next: 0,
            base: None,
            others: Map::new(),
        }
    }

    /// Reads it; `None` where there is none.
    pub fn read(repository: &Path) -> anyhow::Result<Option<Self>> {
        let path = layout::manifest(repository);
        let name = || path.display().to_string();
        let bytes = match fs::metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.with_context(name)?.len(),
        };
        if bytes > MAX_BYTES {
            bail!("{}: has {bytes} bytes, which is no manifest", name());
        }
        let text = fs::read_to_string(&path).with_context(name)?;
        let manifest = Self::from_text(&text).with_context(name)?;
        manifest.check().with_context(name)?;
        Ok(Some(manifest))
    }

    fn from_text(text: &str) -> anyhow::Result<Self> {
        let mut object: Map<String, Value> = serde_json::from_str(text)?;
        let stored = object.remove(CHECKSUM);
        // A newer format may have another one.
        let format = object.get("format").and_then(Value::as_u64);
        if format == Some(FORMAT.into()) && stored != Some(checksum(&object)?) {
            bail!(
                "is damaged: its checksum is not that of what it holds; nothing else says where the repository is"
            );
        }
        Ok(serde_json::from_value(Value::Object(object))?)
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.format != FORMAT || !self.required.is_empty() {
            bail!(
                "format {} with {:?} of a newer version of era; this one knows format {FORMAT}",
                self.format,
                self.required
            );
        }
        Geometry::new(self.device_bytes, self.unit_bytes)?;
        for point in &self.points {
            Geometry::new(point.device_bytes, self.unit_bytes)?;
        }
        let ids: Vec<u64> = self.points.iter().map(|point| point.id).chain([self.next_id]).collect();
        if !ids.windows(2).all(|pair| pair[0] < pair[1]) {
            bail!("the numbers of the points do not ascend");
        }
        if self.points.last().is_some_and(|last| last.device_bytes != self.device_bytes) {
            bail!("the image and the last point are of different sizes");
        }
        Ok(())
    }

    /// Puts this in the place of what is there, durably, and whole at any moment.
    pub fn write(&self, repository: &Path) -> anyhow::Result<()> {
        match self.try_write(repository) {
            // What is kept free for this is enough for it.
            Err(e) if reserve::is_full(&e) && reserve::give_up(repository)? => self.try_write(repository)?,
            result => return result,
        }
        // The manifest before had as much room: for the next time.
        match self.reserve_room(repository) {
            Err(e) if !reserve::is_full(&e) => Err(e),
            _ => Ok(()),
        }
    }

    /// Sees to it that there is room for a manifest like this one, whatever fills the disk meanwhile.
    pub fn reserve_room(&self, repository: &Path) -> anyhow::Result<()> {
        reserve::ensure(repository, self.text()?.len() as u64)
    }

    fn text(&self) -> anyhow::Result<Vec<u8>> {
        let Value::Object(mut object) = serde_json::to_value(self)? else { bail!("is no object") };
        object.insert(CHECKSUM.into(), checksum(&object)?);
        let mut text = serde_json::to_vec_pretty(&object)?;
        text.push(b'\n');
        Ok(text)
    }

    fn try_write(&self, repository: &Path) -> anyhow::Result<()> {
        let new = layout::new_manifest(repository);
        let text = self.text()?;
        let file = RepoFile::create(&new)?;
        file.write(&text, 0)?;
        file.sync()?;
        file::rename(&new, &layout::manifest(repository))?;
        file::sync_dir(repository)
    }

    /// How the image is divided up.
    pub fn geometry(&self) -> anyhow::Result<Geometry> {
        Geometry::new(self.device_bytes, self.unit_bytes)
    }

    /// Where the next increment begins; `None` where only everything will do.
    pub fn cursor(&self) -> Option<Cursor> {
        (self.era != 0 && !self.points.is_empty())
            .then_some(Cursor { generation: self.generation, era: Era(self.era) })
    }

    /// The last point.
    pub fn last(&self) -> Option<&Point> {
        self.points.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let mut manifest = Manifest::new(Uuid::from_u128(1), Uuid::from_u128(2), 8192, 10_000);
        for id in [1, 5] {
            let time = Timestamp::UNIX_EPOCH;
            manifest.points.push(Point::new(id, time, Consistency::Snapshot, Kind::Full, 10_000));
        }
        manifest.next_id = 6;
        manifest.era = 7;
        manifest
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), None);
        let mut written = manifest();
        written.others.insert("of a newer program".into(), Value::Bool(true));
        written.points[0].others.insert("so".into(), Value::Null);
        written.write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), Some(written));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |change: fn(&mut Manifest)| {
            let dir = tempfile::tempdir().unwrap();
            let mut manifest = manifest();
            change(&mut manifest);
            manifest.write(dir.path()).unwrap();
            assert!(Manifest::read(dir.path()).is_err(), "{manifest:?}");
        };
        refused(|m| m.format = 2);
        refused(|m| m.required.push("wings".into()));
        refused(|m| m.unit_bytes = 0);
        refused(|m| m.device_bytes = u64::MAX);
        refused(|m| m.device_bytes = 20_000);
        refused(|m| m.points[0].id = 5);
        refused(|m| m.next_id = 5);
        let dir = tempfile::tempdir().unwrap();
        fs::write(layout::manifest(dir.path()), "{}").unwrap();
        assert!(Manifest::read(dir.path()).is_err());
    }

    #[test]
    fn every_bit_that_means_something_counts() {
        let dir = tempfile::tempdir().unwrap();
        let written = manifest();
        written.write(dir.path()).unwrap();
        let text = fs::read(layout::manifest(dir.path())).unwrap();
        for at in 0..text.len() * 8 {
            let mut damaged = text.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            fs::write(layout::manifest(dir.path()), damaged).unwrap();
            // Blanks between are nothing that it says.
            if let Ok(read) = Manifest::read(dir.path()) {
                assert_eq!(read, Some(written.clone()), "bit {at}");
            }
        }
    }

    #[test]
    fn only_a_whole_copy_has_a_cursor() {
        let mut manifest = manifest();
        assert_eq!(manifest.cursor().map(|cursor| cursor.era), Some(Era(7)));
        manifest.era = 0;
        assert_eq!(manifest.cursor(), None);
        manifest.era = 7;
        manifest.points.clear();
        assert_eq!(manifest.cursor(), None);
    }
}
