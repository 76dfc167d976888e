// SPDX-License-Identifier: GPL-3.0-or-later
//! Which snapshot an increment begins from. No I/O.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;

use super::layout::SEGMENT_BYTES;
use super::mark::Mark;
use crate::device::cursor::Cursor;

/// A snapshot of the repository, as far as matters here.
#[derive(Clone, Debug)]
pub struct Candidate<I> {
    /// What names it.
    pub id: I,
    /// When it was made.
    pub time: Timestamp,
    /// The machine that made it.
    pub host: String,
    /// Its paths.
    pub paths: Vec<String>,
    /// Its tree, in hexadecimal digits.
    pub tree: String,
    /// What its tags say.
    pub mark: Mark,
}

/// The device as it is now.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its identity.
    pub device: Uuid,
    /// The life of its metadata.
    pub generation: Uuid,
    /// Its size.
    pub device_bytes: u64,
    /// The machine that it is on. Those that were cloned have devices of the same identity.
    pub host: &'a str,
    /// The path of its image in snapshots.
    pub path: &'a str,
}

/// Why everything is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no snapshot of the device.
    First,
    /// The newest one was made with other metadata.
    OtherGeneration,
    /// The newest one has no cursor.
    NoCursor,
    /// The newest one was made on another machine.
    OtherHost(String),
    /// The newest one has the device by another name.
    OtherName(String),
    /// The newest one is of another size.
    OtherSize(u64),
    /// The newest one has segments of another size.
    OtherSegments(u64),
    /// The newest one is not what was made: somebody has changed what is in it.
    Altered,
    /// It was made in an era that the device has not reached.
    Ahead(u32),
    /// Of the newest one, data are missing.
    Damaged,
    /// It was asked for.
    Asked,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::First => f.write_str("the repository has no snapshot of this device"),
            Reason::OtherGeneration => {
                f.write_str("tracking began anew after the newest snapshot of this device was made")
            }
            Reason::NoCursor => f.write_str("the newest snapshot of this device has no cursor"),
            Reason::OtherHost(host) => write!(
                f,
                "the newest snapshot of this device was made on {host}; where that is another device, a clone, give this one a life \
                 of its own with era open --new-generation"
            ),
            Reason::OtherName(path) => write!(f, "the newest snapshot of this device has it as {path}"),
            Reason::OtherSize(bytes) => {
                write!(f, "in the newest snapshot of this device it has {bytes} bytes")
            }
            Reason::OtherSegments(bytes) => {
                write!(
                    f,
                    "the newest snapshot of this device has segments of {bytes} bytes, not {SEGMENT_BYTES}"
                )
            }
            Reason::Altered => f.write_str(
                "what is in the newest snapshot of this device was changed, as by restic repair snapshots",
            ),
            Reason::Ahead(era) => write!(
                f,
                "the newest snapshot of this device has all before era {era}, which the device has not reached: it was set \
                 back, data and metadata together, to an earlier moment"
            ),
            Reason::Damaged => {
                f.write_str("the repository has lost data of the newest snapshot of this device")
            }
            Reason::Asked => f.write_str("as asked for"),
        }
    }
}

/// The snapshot of the device to begin from, with its cursor: of those that can be a parent the newest. Else what is wrong with the
/// newest of all.
///
/// The newest is the one that was made last, not the one of the latest era, nor of the latest time: a machine that was set back goes
/// through the same eras once more, and writes something else, and its clock may be set back with it.
pub fn choose<'a, I>(
    candidates: &'a [Candidate<I>],
    wanted: &Wanted,
) -> Result<(&'a Candidate<I>, Cursor), Reason> {
    let ours = || candidates.iter().filter(|candidate| candidate.mark.device == wanted.device);
    let fitting = ours().filter_map(|candidate| Some((candidate, fits(candidate, wanted).ok()?)));
    if let Some(found) =
        fitting.max_by_key(|(candidate, cursor)| (candidate.mark.order(candidate.time), cursor.era))
    {
        return Ok(found);
    }
    // Numbers are those of a machine.
    let newest = ours()
        .max_by_key(|candidate| (candidate.host == wanted.host, candidate.mark.order(candidate.time)))
        .ok_or(Reason::First)?;
    Err(fits(newest, wanted).err().unwrap_or(Reason::First))
}

fn fits<I>(candidate: &Candidate<I>, wanted: &Wanted) -> Result<Cursor, Reason> {
    if candidate.mark.segment_bytes != SEGMENT_BYTES {
        return Err(Reason::OtherSegments(candidate.mark.segment_bytes));
    }
    if candidate.mark.device_bytes != wanted.device_bytes {
        return Err(Reason::OtherSize(candidate.mark.device_bytes));
    }
    if candidate.host != wanted.host {
        return Err(Reason::OtherHost(candidate.host.clone()));
    }
    if candidate.paths != [wanted.path] {
        return Err(Reason::OtherName(candidate.paths.join(", ")));
    }
    if !candidate.mark.is_as_made(&candidate.tree) {
        return Err(Reason::Altered);
    }
    let cursor = candidate.mark.cursor.ok_or(Reason::NoCursor)?;
    if cursor.generation != wanted.generation {
        return Err(Reason::OtherGeneration);
    }
    Ok(cursor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Era;

    const DEVICE: Uuid = Uuid::from_u128(1);
    const GENERATION: Uuid = Uuid::from_u128(2);

    fn candidate(id: u32, device: u128, generation: u128) -> Candidate<u32> {
        Candidate {
            id,
            time: Timestamp::from_second(i64::from(id)).unwrap(),
            host: "here".into(),
            paths: vec!["/vol.img".into()],
            tree: "c0ffee".into(),
            mark: Mark {
                device: Uuid::from_u128(device),
                cursor: Some(Cursor { generation: Uuid::from_u128(generation), era: Era(id) }),
                device_bytes: 1 << 30,
                segment_bytes: SEGMENT_BYTES,
                number: None,
                tree: Some("c0ffee".into()),
                how: None,
            },
        }
    }

    fn chosen(candidates: &[Candidate<u32>]) -> Result<u32, Reason> {
        let wanted = Wanted {
            device: DEVICE,
            generation: GENERATION,
            device_bytes: 1 << 30,
            host: "here",
            path: "/vol.img",
        };
        choose(candidates, &wanted).map(|(candidate, cursor)| {
            assert_eq!(cursor.era.0, candidate.id);
            candidate.id
        })
    }

    #[test]
    fn the_newest_of_this_device() {
        assert_eq!(chosen(&[]), Err(Reason::First));
        assert_eq!(chosen(&[candidate(9, 7, 2)]), Err(Reason::First));
        assert_eq!(
            chosen(&[candidate(3, 1, 2), candidate(5, 1, 2), candidate(4, 1, 2), candidate(9, 7, 2)]),
            Ok(5)
        );
    }

    #[test]
    fn why_it_cannot_be() {
        assert_eq!(chosen(&[candidate(5, 1, 8)]), Err(Reason::OtherGeneration));
        assert_eq!(chosen(&[candidate(3, 1, 2), candidate(5, 1, 8)]), Ok(3));
        // The clock was set back: more is read than must be.
        let mut late = candidate(4, 1, 2);
        late.time = Timestamp::from_second(1).unwrap();
        assert_eq!(chosen(&[candidate(3, 1, 2), late]), Ok(3));
        // The machine was: what its later eras were is not what they will be.
        let mut set_back = candidate(4, 1, 2);
        set_back.time = Timestamp::from_second(9).unwrap();
        assert_eq!(chosen(&[candidate(8, 1, 2), set_back]), Ok(4));
        // With its clock: an era of the life that was discarded is one that it comes to again.
        let numbered = |id, number, seconds| {
            let mut candidate = candidate(id, 1, 2);
            candidate.mark.number = Some(number);
            candidate.time = Timestamp::from_second(seconds).unwrap();
            candidate
        };
        assert_eq!(chosen(&[numbered(20, 2, 200), numbered(11, 3, 160), numbered(10, 1, 150)]), Ok(11));
        let mut repaired = candidate(5, 1, 2);
        repaired.tree = "decaf0".into();
        assert_eq!(chosen(&[repaired.clone()]), Err(Reason::Altered));
        assert_eq!(chosen(&[candidate(3, 1, 2), repaired]), Ok(3));
        let mut clone = candidate(5, 1, 2);
        clone.host = "there".into();
        assert_eq!(chosen(&[candidate(3, 1, 2), clone.clone()]), Ok(3));
        assert_eq!(chosen(&[clone]), Err(Reason::OtherHost("there".into())));
        let mut odd = candidate(5, 1, 2);
        odd.mark.cursor = None;
        assert_eq!(chosen(&[odd.clone()]), Err(Reason::NoCursor));
        odd.paths = vec!["/old.img".into()];
        assert_eq!(chosen(&[odd.clone()]), Err(Reason::OtherName("/old.img".into())));
        odd.mark.device_bytes = 1 << 20;
        assert_eq!(chosen(&[odd.clone()]), Err(Reason::OtherSize(1 << 20)));
        odd.mark.segment_bytes = 4 << 20;
        assert_eq!(chosen(&[odd]), Err(Reason::OtherSegments(4 << 20)));
    }
}
