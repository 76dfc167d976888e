// SPDX-License-Identifier: GPL-3.0-or-later
//! `era restore --only-changed`: a tracked device goes back to a point, by what changed since then.
//!
//! That is what the undo streams from the point on have, and what dm-era says was written since the last point. It is
//! written through the tracked device, so tracking stays valid, and the next backup sends it.

use std::path::Path;

use anyhow::{Context, bail};
use uuid::Uuid;

use crate::device::cursor::Cursor;
use crate::device::dm::Dm;
use crate::device::eratab::Name;
use crate::device::metadata_snapshot::changed;
use crate::device::tracked::Tracked;
use crate::repository::Geometry;
use crate::runs::{BlockSet, Run};

/// The device, locked against other commands, and the units of the point that are to be written.
pub(super) struct Rewind {
    _tracked: Tracked,
    pub(super) units: BlockSet,
}

/// What is known of the newest point.
pub(super) struct Newest {
    /// The device that it is of.
    pub(super) device: Uuid,
    /// What it does not cover.
    pub(super) cursor: Option<Cursor>,
}

/// Finds out what is to be written. The device is opened first, by `open`, so that nobody else writes to it from then on. The
/// newest point was looked at before the one that is to be restored, and `changed_since` has the units that are not the same in
/// both: a backup in between then only makes it more. `geometry` is that of the point to restore.
pub(super) fn plan<T>(
    newest: &Newest,
    geometry: Geometry,
    changed_since: impl Iterator<Item = anyhow::Result<u64>>,
    target: &Path,
    open: impl FnOnce(&Path) -> anyhow::Result<T>,
) -> anyhow::Result<(Rewind, T)> {
    let name = name_of(target)?;
    let dm = Dm::open()?;
    let tracked = Tracked::find(&dm, &name)?;
    let opened = open(&tracked.path()?)?;
    if tracked.device != newest.device {
        bail!(
            "{name}: is device {}, the repository is of device {}; restore without --only-changed writes everything",
            tracked.device,
            newest.device
        );
    }
    let everything = || {
        format!(
            "{name}: what changed since the point cannot be known; restore onto /dev/mapper/{name} without \
             --only-changed, which writes everything"
        )
    };
    let cursor = newest.cursor.with_context(everything)?;
    let since = cursor.era_in(tracked.generation).with_context(everything)?;
    let mut units = BlockSet::new(geometry.units());
    for unit in changed_since {
        let unit = unit?;
        // What the device has had since, and had not at the point.
        if unit < geometry.units() {
            units.insert(Run { begin: unit, end: unit + 1 });
        }
    }
    let written = changed(&dm, &tracked, since).with_context(everything)?.blocks;
    for run in written.runs() {
        if let Some(extent) = tracked.block_size.extent(run, geometry.device_bytes) {
            units.insert(geometry.touched(extent));
        }
    }
    Ok((Rewind { _tracked: tracked, units }, opened))
}

/// `NAME`, or `/dev/mapper/NAME`.
fn name_of(target: &Path) -> anyhow::Result<Name> {
    let text = target.to_str().context("the name of the device is not UTF-8")?;
    let name = text.strip_prefix("/dev/mapper/").unwrap_or(text);
    name.parse().with_context(|| format!("--only-changed needs a tracked device, not {text}"))
}
