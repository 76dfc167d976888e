// SPDX-License-Identifier: GPL-3.0-or-later
//! What a snapshot says of the device that it is of, and where the next backup begins: tags of the snapshot, which
//! `restic copy`, `forget`, `tag --add` and `rewrite` keep.
//!
//! | tag | what it is |
//! | --- | --- |
//! | `era-device=UUID` | the identity of the tracked device |
//! | `era-cursor=GENERATION:ERA` | the first era that the snapshot does not cover |
//! | `era-size=BYTES:SEGMENT` | sizes of the device and of a segment |
//! | `era-number=NUMBER` | one more than that of the snapshot of the same device that was the newest, whatever clocks say |
//! | `era-tree=ID` | the snapshot's tree: where it has another one, somebody has changed what is in it |
//! | `era-how=KIND:CONSISTENCY:PASSES:HELD:CHANGED` | how it was made: nanoseconds for which writes were held back, bytes of the segments that were read |
//!
//! What is not understood is not there: a snapshot without a cursor is a point, but no parent.

use anyhow::Context;
use jiff::Timestamp;
use uuid::Uuid;

use super::layout::SEGMENT_BYTES;
use crate::device::cursor::Cursor;
use crate::stream::{Consistency, Header, Kind, Summary};

/// What the tags of a snapshot say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The tracked device.
    pub device: Uuid,
    /// Where the next increment begins.
    pub cursor: Option<Cursor>,
    /// Size of the device.
    pub device_bytes: u64,
    /// Size of a segment.
    pub segment_bytes: u64,
    /// Its place among the snapshots of the device, in the order in which they were made.
    pub number: Option<u64>,
    /// The tree that it was made with, in hexadecimal digits.
    pub tree: Option<String>,
    /// How it was made.
    pub how: Option<How>,
}

/// How a snapshot was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    /// Everything, or changes.
    pub kind: Kind,
    /// Whether it is of one moment.
    pub consistency: Consistency,
    /// How many times changes were read.
    pub passes: u32,
    /// For how long writes were held back.
    pub held_nanoseconds: u64,
    /// Bytes of the segments that were read.
    pub changed_bytes: u64,
}

const DEVICE: &str = "era-device=";
const CURSOR: &str = "era-cursor=";
const SIZE: &str = "era-size=";
const NUMBER: &str = "era-number=";
const TREE: &str = "era-tree=";
const HOW: &str = "era-how=";

impl Mark {
    /// What a stream says that was read to its end, of which segments of so many bytes came.
    pub fn of_stream(header: &Header, summary: &Summary, changed_bytes: u64) -> anyhow::Result<Self> {
        let (_, trailer) = summary.frame.as_ref().context("the stream has no trailer")?;
        // 0 where a sender does not know it.
        let cursor =
            (trailer.next.0 > 0).then_some(Cursor { generation: header.generation, era: trailer.next });
        Ok(Self {
            device: header.device,
            cursor,
            device_bytes: header.device_bytes,
            segment_bytes: SEGMENT_BYTES,
            number: None,
            tree: None,
            how: Some(How {
                kind: header.kind,
                consistency: header.consistency,
                passes: trailer.passes,
                held_nanoseconds: trailer.freeze_nanoseconds,
                changed_bytes,
            }),
        })
    }

    /// What sorts the snapshots of one device of one machine, with the times that they have, as they were made: clocks can be wrong.
    pub fn order(&self, time: Timestamp) -> impl Ord + use<> {
        (self.number, time)
    }

    /// Whether a snapshot with this tree holds what it was made with: who repairs a repository leaves out of snapshots what is lost.
    pub fn is_as_made(&self, tree: &str) -> bool {
        self.tree.as_deref() == Some(tree)
    }

    /// As tags.
    pub fn tags(&self) -> Vec<String> {
        let mut tags = vec![format!("{DEVICE}{}", self.device)];
        tags.extend(self.cursor.map(|cursor| format!("{CURSOR}{cursor}")));
        tags.push(format!("{SIZE}{}:{}", self.device_bytes, self.segment_bytes));
        tags.extend(self.number.map(|number| format!("{NUMBER}{number}")));
        tags.extend(self.tree.iter().map(|tree| format!("{TREE}{tree}")));
        tags.extend(self.how.map(|how| {
            let How { passes, held_nanoseconds, changed_bytes, .. } = how;
            let (kind, consistency) = (kind_name(how.kind), consistency_name(how.consistency));
            format!("{HOW}{kind}:{consistency}:{passes}:{held_nanoseconds}:{changed_bytes}")
        }));
        tags
    }

    /// From tags; nothing where the snapshot is not of a tracked device.
    pub fn of<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let (mut device, mut cursor, mut size, mut how) = (None, None, None, None);
        let (mut number, mut tree) = (None, None);
        for tag in tags {
            if let Some(text) = tag.strip_prefix(DEVICE) {
                device = text.parse().ok();
            } else if let Some(text) = tag.strip_prefix(CURSOR) {
                cursor = text.parse().ok();
            } else if let Some(text) = tag.strip_prefix(SIZE) {
                size = text.split_once(':').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
            } else if let Some(text) = tag.strip_prefix(NUMBER) {
                number = text.parse().ok();
            } else if let Some(text) = tag.strip_prefix(TREE) {
                tree = Some(text.to_owned());
            } else if let Some(text) = tag.strip_prefix(HOW) {
                how = parse_how(text);
            }
        }
        let (device_bytes, segment_bytes) = size?;
        Some(Self { device: device?, cursor, device_bytes, segment_bytes, number, tree, how })
    }
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Full, "full"),
    (Kind::Increment, "increment"),
    (Kind::Undo, "undo"),
    (Kind::Difference, "difference"),
];

const CONSISTENCIES: [(Consistency, &str); 4] = [
    (Consistency::Unknown, "unknown"),
    (Consistency::None, "none"),
    (Consistency::Freeze, "freeze"),
    (Consistency::Snapshot, "snapshot"),
];

fn kind_name(kind: Kind) -> &'static str {
    KINDS.iter().find(|(other, _)| *other == kind).map_or("full", |(_, name)| name)
}

fn consistency_name(consistency: Consistency) -> &'static str {
    CONSISTENCIES.iter().find(|(other, _)| *other == consistency).map_or("unknown", |(_, name)| name)
}

fn parse_how(text: &str) -> Option<How> {
    let mut parts = text.split(':');
    let kind = parts.next()?;
    let consistency = parts.next()?;
    let how = How {
        kind: KINDS.iter().find(|(_, name)| *name == kind)?.0,
        consistency: CONSISTENCIES.iter().find(|(_, name)| *name == consistency)?.0,
        passes: parts.next()?.parse().ok()?,
        held_nanoseconds: parts.next()?.parse().ok()?,
        changed_bytes: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(how)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Era;

    fn mark() -> Mark {
        Mark {
            device: Uuid::from_u128(1),
            cursor: Some(Cursor { generation: Uuid::from_u128(2), era: Era(57) }),
            device_bytes: 1 << 40,
            segment_bytes: 1 << 20,
            number: Some(12),
            tree: Some("c0ffee".into()),
            how: Some(How {
                kind: Kind::Increment,
                consistency: Consistency::Snapshot,
                passes: 2,
                held_nanoseconds: 1_500_000,
                changed_bytes: 1 << 30,
            }),
        }
    }

    #[test]
    fn tags_round_trip() {
        let tags = mark().tags();
        assert!(
            tags.iter().all(|tag| !tag.contains(',')),
            "{tags:?}: restic takes a comma for the end of a tag"
        );
        let others = ["nightly", "era"];
        assert_eq!(Mark::of(tags.iter().map(String::as_str).chain(others)), Some(mark()));
        let bare = Mark { cursor: None, number: None, tree: None, how: None, ..mark() };
        assert_eq!(Mark::of(bare.tags().iter().map(String::as_str)), Some(bare));
    }

    #[test]
    fn what_is_not_understood_is_not_there() {
        assert_eq!(Mark::of(["nightly"]), None);
        assert_eq!(Mark::of(["era-device=x", "era-size=1:1"]), None);
        let device = format!("era-device={}", Uuid::from_u128(1));
        assert_eq!(Mark::of([device.as_str()]), None);
        let odd =
            Mark::of([device.as_str(), "era-size=5:6", "era-cursor=x", "era-how=full:none:1:2:3:4"]).unwrap();
        assert_eq!((odd.cursor, odd.how, odd.device_bytes), (None, None, 5));
    }
}
