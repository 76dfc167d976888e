// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether a repository has all that its points need.
//!
//! rustic checks what is true of any repository of this format: that what snapshots need is there, of the right size, and, where data are
//! read, that they are what their names say. What is checked here besides is that each point is a whole device: that all segments are
//! there, and have the bytes that they must have.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use rustic_core::{CheckOptions, CheckResults, OpenStatus, Repository};
use serde::Serialize;

use super::archive::Archive;
use super::failure::{cause_text, failure, masked};
use super::image::{Contents, Image};
use super::points::{Device, Point};
use crate::report;
use crate::units::Extent;

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The repository.
    pub file: String,
    /// The point that is damaged, where that is known.
    pub point: Option<String>,
    /// Where on the device, in bytes.
    pub offset: Option<u64>,
    /// How many bytes.
    pub length_bytes: Option<u64>,
    /// What is wrong.
    pub problem: String,
}

/// Takes damages as they are found.
pub type Tell<'a> = &'a mut dyn FnMut(Damage) -> anyhow::Result<()>;

/// What rustic finds. Returns packs that are damaged, as far as it says which.
pub fn check_repository(
    repository: &Repository<OpenStatus>,
    name: &str,
    read_data: bool,
    tell: Tell,
) -> anyhow::Result<BTreeSet<String>> {
    let options = CheckOptions::default().read_data(read_data);
    let mut packs = BTreeSet::new();
    for finding in repository.check(options).map_err(failure)?.0 {
        let problem = text_of(&finding.1);
        if CheckResults(vec![finding]).is_ok().is_ok() {
            report::warn(format_args!("{name}: {problem}"));
            continue;
        }
        packs.extend(pack_in(&problem));
        tell(Damage { file: name.to_owned(), point: None, offset: None, length_bytes: None, problem })?;
    }
    Ok(packs)
}

/// What is wrong, in one line. Where an error of rustic's is the cause, the text has all that it has to say of that.
fn text_of(finding: &(dyn Error + 'static)) -> String {
    let text = finding.to_string();
    let brief = match finding.source() {
        Some(cause) => {
            let what = text.split_once(" : ").map_or(text.as_str(), |(what, _)| what);
            format!("{what}: {}", cause_text(cause))
        }
        None => text,
    };
    masked(&report::one_line(&brief))
}

/// The pack that a finding is about: a word of eight digits after the word "pack".
fn pack_in(problem: &str) -> Option<String> {
    let mut words = problem.split(|c: char| !c.is_ascii_alphanumeric());
    words.find(|word| *word == "pack")?;
    let id = words.next()?;
    (id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_owned())
}

/// Whether each point of a device is whole, and which parts of it are in packs that are damaged.
pub fn check_points(
    archive: &Archive,
    name: &str,
    device: &Device,
    damaged: &BTreeSet<String>,
    tell: Tell,
) -> anyhow::Result<()> {
    // What was looked at in one point is not looked at again in the next.
    let mut before: Option<Image> = None;
    for point in &device.points {
        match check_point(archive, name, point, before.as_mut(), damaged, tell)? {
            Ok(image) => before = Some(image),
            Err(e) => {
                before = None;
                let problem = format!("{e:#}");
                let point = Some(point.id());
                tell(Damage { file: name.to_owned(), point, offset: None, length_bytes: None, problem })?;
            }
        }
    }
    Ok(())
}

/// The inner error is of the point, the outer one of whoever is told.
fn check_point(
    archive: &Archive,
    name: &str,
    point: &Point,
    before: Option<&mut Image>,
    damaged: &BTreeSet<String>,
    tell: Tell,
) -> anyhow::Result<anyhow::Result<Image>> {
    let mut image = match Image::open(archive, name, point) {
        Ok(image) => image,
        Err(e) => return Ok(Err(e)),
    };
    // By pack: neighbours are one damage.
    let mut parts: BTreeMap<String, Vec<Extent>> = BTreeMap::new();
    let walked = match before.filter(|before| damaged.is_empty() && before.layout() == image.layout()) {
        Some(before) => image.differences(before, &mut |_| Ok(())),
        None => image.pieces(&|_| true, &mut |piece| {
            let Contents::Blob(id) = piece.contents else { return Ok(()) };
            if damaged.is_empty() {
                return Ok(());
            }
            let pack = archive.pack_of(&id)?;
            if damaged.contains(&pack) {
                let extents = parts.entry(pack).or_default();
                match extents.last_mut() {
                    Some(last) if last.end() == piece.extent.offset => last.len += piece.extent.len,
                    _ => extents.push(piece.extent),
                }
            }
            Ok(())
        }),
    };
    for (pack, extents) in parts {
        for extent in extents {
            tell(Damage {
                file: name.to_owned(),
                point: Some(point.id()),
                offset: Some(extent.offset),
                length_bytes: Some(extent.len),
                problem: format!("may be damaged: it is in pack {pack}"),
            })?;
        }
    }
    Ok(walked.map(|()| image))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_are_named() {
        assert_eq!(
            pack_in("pack 0123abcd: Hash mismatch. Computed hash: 11111111").as_deref(),
            Some("0123abcd")
        );
        assert_eq!(pack_in("error reading pack 0123abcd : Cannot").as_deref(), Some("0123abcd"));
        assert_eq!(pack_in("pack header"), None);
        assert_eq!(pack_in("file \"a\" blob 0123abcd is missing in index"), None);
    }
}
