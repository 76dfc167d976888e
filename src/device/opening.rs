// SPDX-License-Identifier: GPL-3.0-or-later
//! Opening a tracked device: is it the one that the header knows, and is what was tracked all that has changed?
//!
//! Where the first is not certain the device is refused, and where the second is known not to be, or nothing at all is
//! known, a new generation begins: a full copy is the price, and never that of a mirror that is silently wrong.

use std::fmt;

use anyhow::{Context, bail};
use uuid::Uuid;

use super::disk::Disk;
use super::dm::Dm;
use super::eratab::Name;
use super::failpoint;
use super::fingerprint::Comparison;
use super::growth::Growth;
use super::header::{self, DataDevice, Header, StableId, State};
use super::kernel_metadata::{self, Found, Replaced};
use super::lifecycle::{describe, parts, write_header};
use super::sizing;
use super::stack::{self, Layer};
use super::traces::{Mark, Traces};
use super::untracked;
use crate::report;
use crate::units::Era;

/// How to open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choices {
    /// Whether to pass discards on; as the header says where not given.
    pub discards: Option<bool>,
    /// Begin a new generation in any case.
    pub new_generation: bool,
    /// Take the data device as it is, even if it is not the recorded one, and begin a new generation.
    pub accept_data: bool,
}

/// What opening found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It was open already.
    Already,
    /// It was closed in order and nothing has changed since.
    Continued,
    /// It is opened for the first time since tracking was set up: no cursor is older.
    First,
    /// It was not closed in order: tracking is complete, but whether something bypassed it cannot be known.
    AfterCrash,
    /// A new generation has begun.
    NewGeneration(Reason),
    /// dm-era had been taken out, and is in its place again; a new generation has begun.
    TrackedAgain,
}

/// Why a new generation has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Somebody wants it.
    Asked,
    /// Something wrote to the data device while it was closed.
    Bypassed,
    /// It was not closed in order, and nothing tells whether this is the data device.
    Unrecognizable,
    /// dm-era's metadata are not those of before.
    Metadata(Replaced),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Asked => write!(f, "as you asked for"),
            Reason::Bypassed => {
                write!(f, "something wrote to the data device while it was closed, mounted it perhaps")
            }
            Reason::Unrecognizable => write!(
                f,
                "it was not closed in order, and the data device has neither a name of its own nor a filesystem of \
                 before by which it could be recognized"
            ),
            Reason::Metadata(replaced) => replaced.fmt(f),
        }
    }
}

/// Opens a tracked device, or completes one that is half open.
pub fn open(dm: &Dm, name: &Name, data: &Disk, metadata: &Disk, choices: &Choices) -> anyhow::Result<Opened> {
    let meta_path = || metadata.path.display().to_string();
    let found = header::read(metadata).with_context(meta_path)?.header;
    if let Some(current) = stack::name_of(dm, found.device)?
        && current != name.as_str()
    {
        bail!(
            "{name}: is open as {current}; `era close {name}` closes it, and then it opens under its new name"
        );
    }
    let is_live = |layer| is_live(dm, name, layer, found.device);
    if is_live(Layer::Tracked)? {
        if choices.new_generation || choices.accept_data {
            bail!("{name}: is open; close it first: a new generation begins when it is opened");
        }
        check_identity(&found, data)?;
        // Whatever is missing around it is made; its own table must be right.
        stack::recover(dm, name.as_str(), found.device)?;
        Traces::of(name.as_str()).clean_up(dm)?;
        if untracked::is_out(dm, name.as_str())? {
            track_again(dm, name, found, data, metadata)?;
            return Ok(Opened::TrackedAgain);
        }
        stack::put_up(dm, &parts(name, &found, data.number, metadata.number))?;
        if found.state.clean {
            // A shutdown that had recorded how the device was left has come to nothing.
            let mut header = found;
            header.state = State { clean: false, fingerprint: None, ..header.state };
            write_header(&mut header, metadata).with_context(meta_path)?;
        }
        return Ok(Opened::Already);
    }
    if !choices.accept_data {
        check_identity(&found, data)?;
    }
    check_room(&found, data)?;
    // After a crash while it was opened, our own layers may hold the devices already.
    let is_held = is_live(Layer::Data)?;
    if !is_held {
        data.check_unused()?;
    }
    if !is_live(Layer::Metadata)? && !is_live(Layer::Cow)? {
        metadata.check_unused()?;
    }
    let comparison = match &found.state {
        State { clean: true, fingerprint: Some(earlier), .. } => {
            earlier.compare(data).with_context(|| data.path.display().to_string())?
        }
        _ => Comparison::Unknown,
    };
    let described = describe(data)?;
    let kernel = kernel_metadata::look(metadata, &found)?;
    let reason = if choices.accept_data {
        Some(Reason::Asked)
    } else {
        // A wrong device is refused whatever else there may be.
        let doubt = check_content(&found, &described, comparison, is_held)
            .with_context(|| data.path.display().to_string())?;
        let replaced = kernel.replaced(found.state.era).map(Reason::Metadata);
        choices.new_generation.then_some(Reason::Asked).or(doubt).or(replaced)
    };

    let mut header = found.clone();
    if reason.is_some() {
        header.generation = Uuid::new_v4();
        header.growth = None;
    } else if data.bytes() > found.data.size_bytes
        && let Found::InEra(era) = kernel
    {
        header.growth = Some(Growth::after(found.growth, found.data.size_bytes, era));
    }
    header.data = described;
    // From here on the kernel has metadata, so zeros mean that somebody else has been there.
    let era = if reason.is_some() { Era(0) } else { kernel.era() };
    header.state = State { era: Some(era), ..State::default() };
    header.options.discards = choices.discards.unwrap_or(found.options.discards);
    write_header(&mut header, metadata).with_context(meta_path)?;
    Traces::of(name.as_str()).forget()?;
    if reason.is_some() {
        // After the header: a new generation with old metadata only costs a full pass, an old one with new metadata
        // would lose changes.
        kernel_metadata::forget(metadata, &header).with_context(meta_path)?;
    }
    stack::put_up(dm, &parts(name, &header, data.number, metadata.number)).inspect_err(|_| {
        // Nothing was written to the data device: what was known of it is still true, but for a generation that has
        // begun. The error that led here is the one to tell of.
        if reason.is_none() {
            let mut header = header.clone();
            header.state = found.state;
            let _ = write_header(&mut header, metadata);
        }
    })?;
    failpoint::reach("life-up");
    Ok(match (reason, comparison) {
        (Some(reason), _) => Opened::NewGeneration(reason),
        (None, Comparison::Same) => Opened::Continued,
        (None, _) if found.state.era.is_none() => Opened::First,
        (None, _) => Opened::AfterCrash,
    })
}

/// Puts dm-era back on a device that is in use, with new metadata, in a new generation.
fn track_again(dm: &Dm, name: &Name, mut header: Header, data: &Disk, metadata: &Disk) -> anyhow::Result<()> {
    let meta_path = || metadata.path.display().to_string();
    header.generation = Uuid::new_v4();
    header.growth = None;
    header.state = State { era: Some(Era(0)), ..State::default() };
    write_header(&mut header, metadata).with_context(meta_path)?;
    // Before it is tracked: a mark that outlived that would be taken for one of the next time.
    Traces::of(name.as_str()).wipe(Mark::Untracked)?;
    kernel_metadata::forget(metadata, &header).with_context(meta_path)?;
    stack::put_back(dm, &parts(name, &header, data.number, metadata.number))
}

/// Whether a layer of this device is there with a table in use.
fn is_live(dm: &Dm, name: &Name, layer: Layer, device: Uuid) -> anyhow::Result<bool> {
    let state = dm.state(&layer.name(name.as_str()))?;
    Ok(state.is_some_and(|state| state.live && state.uuid == layer.uuid(device)))
}

const ACCEPT: &str =
    "if it is the right one nevertheless, era open --accept-data takes it and begins a new generation";

/// Refuses a data device that has another name than the recorded one, or is too small.
pub(super) fn check_identity(header: &Header, data: &Disk) -> anyhow::Result<()> {
    let path = data.path.display();
    let ids = data.stable_ids();
    if let Some(recorded) = &header.data.id
        && !ids.contains(recorded)
    {
        let found = ids.iter().find(|id| id.kind == recorded.kind).or(ids.first());
        bail!(
            "{path}: is not the recorded data device: recorded is {recorded}, this has {}; the line in eratab is wrong, \
             or disks were swapped; {ACCEPT}",
            or_none(found)
        );
    }
    if data.bytes() < header.data.size_bytes {
        bail!(
            "{path}: is not the recorded data device, or has shrunk: it has {} bytes, recorded are {}; {ACCEPT}",
            data.bytes(),
            header.data.size_bytes
        );
    }
    Ok(())
}

/// Tells devices that have no name apart by what they hold; says why a new generation has to begin, if one has.
///
/// That a filesystem is another one than before is nothing to wonder at where the device is certain: a new one was made.
fn check_content(
    header: &Header,
    found: &DataDevice,
    comparison: Comparison,
    is_held: bool,
) -> anyhow::Result<Option<Reason>> {
    let bypassed = (comparison == Comparison::Differs).then_some(Reason::Bypassed);
    // One that looks the same to the last byte is the same, and so is one that our layers hold since it was.
    if comparison == Comparison::Same || is_held || header.data.id.is_some() {
        return Ok(bypassed);
    }
    match (&header.data.content, &found.content) {
        // Not their kinds: an ext3 may become an ext4.
        (Some(recorded), Some(found)) if recorded.value == found.value => Ok(bypassed),
        (Some(recorded), found) => bail!(
            "is not the recorded data device, or was formatted anew: recorded is {recorded}, this has {}; the line in \
             eratab is wrong, or disks were swapped; {ACCEPT}",
            or_none(found.as_ref())
        ),
        (None, _) => Ok(bypassed.or(Some(Reason::Unrecognizable))),
    }
}

fn or_none(id: Option<&StableId>) -> String {
    id.map_or("none".into(), ToString::to_string)
}

/// A device that has grown may have outgrown its metadata.
fn check_room(header: &Header, data: &Disk) -> anyhow::Result<()> {
    let blocks = sizing::count_blocks(data.bytes(), header.block_size)
        .with_context(|| data.path.display().to_string())?;
    let needed = sizing::metadata_bytes_needed(blocks);
    if data.bytes() > header.data.size_bytes && needed > header.layout.metadata.len {
        bail!(
            "{}: has grown, and tracking it now takes {} of metadata; there are {}: remove tracking and create it \
             again with a larger metadata device",
            data.path.display(),
            report::size(needed),
            report::size(header.layout.metadata.len)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::sizing::Layout;
    use crate::units::{BlockSize, Extent};

    fn device(id: Option<&str>, content: Option<&str>) -> DataDevice {
        let id_of = |kind: &str, value: &str| StableId { kind: kind.into(), value: value.into() };
        DataDevice {
            size_bytes: 4096,
            id: id.map(|value| id_of("serial", value)),
            content: content.map(|value| id_of("ext4", value)),
            path: None,
        }
    }

    /// `Err(())` where the device is refused.
    fn check(
        recorded: DataDevice,
        found: DataDevice,
        comparison: Comparison,
        is_held: bool,
    ) -> Result<Option<Reason>, ()> {
        let layout = Layout { metadata: Extent { offset: 1 << 20, len: 1 << 20 }, cow: None };
        let block_size = BlockSize::from_sectors(8).unwrap();
        let header = Header::new(Uuid::nil(), Uuid::nil(), recorded, block_size, layout);
        check_content(&header, &found, comparison, is_held).map_err(|_| ())
    }

    #[test]
    fn what_a_device_holds_tells_it_from_others_where_it_has_no_name() {
        use Comparison::{Differs, Same, Unknown};
        let nameless = |content| device(None, content);
        let bypassed = Ok(Some(Reason::Bypassed));
        for (recorded, found, comparison, expected) in [
            (Some("a"), Some("a"), Same, Ok(None)),
            (Some("a"), Some("a"), Unknown, Ok(None)),
            (Some("a"), Some("a"), Differs, bypassed.clone()),
            (Some("a"), Some("b"), Unknown, Err(())),
            (Some("a"), Some("b"), Differs, Err(())),
            (Some("a"), None, Unknown, Err(())),
            (Some("a"), None, Differs, Err(())),
            (None, None, Same, Ok(None)),
            (None, Some("b"), Differs, bypassed.clone()),
            (None, Some("b"), Unknown, Ok(Some(Reason::Unrecognizable))),
            (None, None, Unknown, Ok(Some(Reason::Unrecognizable))),
        ] {
            let said = check(nameless(recorded), nameless(found), comparison, false);
            assert_eq!(said, expected, "{recorded:?} {found:?} {comparison:?}");
        }
        // With a name, or below our own layers, it is certain.
        let named = |content| device(Some("s"), content);
        assert_eq!(check(named(Some("a")), named(Some("b")), Unknown, false), Ok(None));
        assert_eq!(check(named(Some("a")), named(Some("b")), Differs, false), bypassed);
        assert_eq!(check(nameless(Some("a")), nameless(None), Unknown, true), Ok(None));
    }
}
