// SPDX-License-Identifier: GPL-3.0-or-later
//! The stack of device-mapper devices under a tracked device, put up and taken down.
//!
//! ```text
//! NAME (era) ── NAME-data (linear) ── the data device
//!      │
//!      └─────── NAME-meta (linear) ── the metadata device behind our header
//!               NAME-cow  (linear) ── the rest of the metadata device
//! ```
//!
//! Each has a uuid made from the device's, and that, not the name, says that it is ours. Putting up takes what is there
//! already and right, completes what is half done, and undoes what it did where it fails: so it may be repeated after
//! any crash.

use std::fs;

use anyhow::{Context, bail};
use devicemapper::Device;
use uuid::Uuid;

use super::cut::Emergency;
use super::dm::{Audience, Dm, State};
use super::failpoint;
use super::table::Target;
use crate::sys::{DmRequest, LockedMemory};

/// A part of the metadata device, in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First sector.
    pub offset: u64,
    /// Number of sectors.
    pub sectors: u64,
}

/// What a stack is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Name of the tracked device.
    pub name: String,
    /// The device's uuid in its header.
    pub uuid: Uuid,
    /// The data device.
    pub data: Device,
    /// Its size in sectors.
    pub data_sectors: u64,
    /// The metadata device.
    pub metadata: Device,
    /// Where on it dm-era's metadata are.
    pub metadata_region: Region,
    /// Where on it the space for snapshots is.
    pub cow_region: Option<Region>,
    /// Size of dm-era's blocks in sectors.
    pub block_sectors: u64,
    /// Whether discards are passed on.
    pub discards: bool,
}

/// The devices of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The tracked device itself.
    Tracked,
    /// The layer between it and the data device.
    Data,
    /// Its metadata.
    Metadata,
    /// Space for snapshots.
    Cow,
    /// The snapshot while there is one.
    Snapshot,
}

/// From the top to the bottom: the order in which they are taken down.
pub const LAYERS: [Layer; 5] = [Layer::Tracked, Layer::Snapshot, Layer::Data, Layer::Metadata, Layer::Cow];

impl Layer {
    fn suffix(self) -> &'static str {
        match self {
            Layer::Tracked => "",
            Layer::Data => "-data",
            Layer::Metadata => "-meta",
            Layer::Cow => "-cow",
            Layer::Snapshot => "-snap",
        }
    }

    fn audience(self) -> Audience {
        if self == Layer::Tracked { Audience::Everybody } else { Audience::Ourselves }
    }

    /// The name of this layer's device.
    pub fn name(self, name: &str) -> String {
        format!("{name}{}", self.suffix())
    }

    /// The uuid of this layer's device.
    pub fn uuid(self, uuid: Uuid) -> String {
        format!("ERA-{}{}", uuid.simple(), self.suffix())
    }
}

/// Puts a stack up, or completes it. Returns the number of the tracked device.
pub fn put_up(dm: &Dm, parts: &Parts) -> anyhow::Result<Device> {
    let mut made = Vec::new();
    layers_up(dm, parts, &mut made).inspect_err(|_| {
        for layer in made.into_iter().rev() {
            // The first error is the one to tell of.
            let _ = dm.remove(&Layer::name(layer, &parts.name));
        }
    })
}

fn layers_up(dm: &Dm, parts: &Parts, made: &mut Vec<Layer>) -> anyhow::Result<Device> {
    let part = |device, region: Region| (region.sectors, Target::Linear { device, offset: region.offset });
    let mut layer_up = |layer, (sectors, target)| layer_up(dm, parts, layer, sectors, target, made);

    let whole = Region { offset: 0, sectors: parts.data_sectors };
    let origin = layer_up(Layer::Data, part(parts.data, whole))?;
    if !parts.discards {
        // Of a discard over many blocks dm-era would mark one. What is stacked on this device starts with its limits.
        forbid_discards(origin)?;
    }
    let metadata = layer_up(Layer::Metadata, part(parts.metadata, parts.metadata_region))?;
    failpoint::reach("life-half-up");
    if let Some(region) = parts.cow_region {
        layer_up(Layer::Cow, part(parts.metadata, region))?;
    }
    let target = Target::Era { metadata, origin, block_sectors: parts.block_sectors };
    let tracked = layer_up(Layer::Tracked, (parts.data_sectors, target))?;
    if !parts.discards {
        forbid_discards(tracked)?;
    }
    Ok(tracked)
}

/// Makes one device, or sees that it is what it must be.
fn layer_up(
    dm: &Dm,
    parts: &Parts,
    layer: Layer,
    sectors: u64,
    target: Target,
    made: &mut Vec<Layer>,
) -> anyhow::Result<Device> {
    let (name, uuid) = (layer.name(&parts.name), layer.uuid(parts.uuid));
    match dm.state(&name)? {
        None => {
            let number = dm.create(&name, &uuid, sectors, &target, layer.audience())?;
            made.push(layer);
            Ok(number)
        }
        Some(state) if state.uuid != uuid => bail!("{}", foreign(&name, &state)),
        Some(state) if !state.live => dm.activate(&name, sectors, &target, layer.audience()),
        Some(state) => {
            let found = dm.table(&name)?;
            if found != (sectors, target) {
                bail!(
                    "{name}: is active with the table 0 {} {} {}, must be 0 {sectors} {} {target}; \
                     close the device and open it again",
                    found.0,
                    found.1.name(),
                    found.1,
                    target.name()
                );
            }
            dm.ready(&name, &state)?;
            Ok(state.number)
        }
    }
}

/// Takes a stack down; returns whether anything of it was there. What is in use is an error, and then nothing is taken
/// down.
///
/// `record` is called when nothing can be written through the tracked device any more, and before the layer below it goes:
/// that holds the data device, which nobody can mount until what is to be known of it has been recorded.
pub fn take_down(
    dm: &Dm,
    name: &str,
    uuid: Uuid,
    record: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let layers = present(dm, name, uuid)?;
    for (layer, device, state) in &layers {
        if *layer == Layer::Tracked && state.open_count > 0 {
            bail!(
                "{device}: is in use; unmount it, or stop what holds it (see lsblk and fuser), and try again"
            );
        }
    }
    if layers.is_empty() {
        return Ok(false);
    }
    recover(dm, name, uuid)?;
    let is_at_top = |layer: Layer| layer == Layer::Tracked;
    for (_, device, _) in layers.iter().filter(|(layer, ..)| is_at_top(*layer)) {
        dm.remove(device)?;
    }
    failpoint::reach("life-untracked");
    let recorded = record();
    failpoint::reach("life-recorded");
    for (_, device, _) in layers.iter().filter(|(layer, ..)| !is_at_top(*layer) && *layer != Layer::Snapshot)
    {
        dm.remove(device)?;
    }
    recorded?;
    Ok(true)
}

/// The name that the stack of a device goes by, if anything of it is there. The line in eratab may have another one by now.
pub fn name_of(dm: &Dm, uuid: Uuid) -> anyhow::Result<Option<String>> {
    for layer in LAYERS {
        if let Some(device) = dm.name_of(&layer.uuid(uuid))? {
            return Ok(Some(device.strip_suffix(layer.suffix()).unwrap_or(&device).to_owned()));
        }
    }
    Ok(None)
}

/// The device that the data layer is on.
pub fn data_below(dm: &Dm, name: &str) -> anyhow::Result<Option<Device>> {
    let layer = Layer::Data.name(name);
    if dm.state(&layer)?.is_none_or(|state| !state.live) {
        return Ok(None);
    }
    match dm.table(&layer)?.1 {
        Target::Linear { device, .. } | Target::SnapshotOrigin { origin: device } => Ok(Some(device)),
        _ => Ok(None),
    }
}

/// The layers that are there, from the top to the bottom; one of a foreign device is an error.
fn present(dm: &Dm, name: &str, uuid: Uuid) -> anyhow::Result<Vec<(Layer, String, State)>> {
    let mut layers = Vec::new();
    for layer in LAYERS {
        let device = layer.name(name);
        match dm.state(&device)? {
            Some(state) if state.uuid != layer.uuid(uuid) => bail!("{}", foreign(&device, &state)),
            Some(state) => layers.push((layer, device, state)),
            None => {}
        }
    }
    Ok(layers)
}

/// Undoes what a cut has done or begun to do to the stack: forgets loaded tables, resumes what is suspended, takes
/// the snapshot out. Whatever the moment at which a cut stopped, and where nothing is to be done, nothing is. Returns
/// whether there was something.
pub fn recover(dm: &Dm, name: &str, uuid: Uuid) -> anyhow::Result<bool> {
    let layers = present(dm, name, uuid)?;
    let mut done = false;
    // From the bottom to the top: what is resumed first lets the rest through.
    for (layer, device, state) in layers.iter().rev() {
        if state.loaded {
            dm.clear(device)?;
            done = true;
        }
        if state.suspended && state.live {
            if *layer == Layer::Tracked {
                let_through(dm, device)?
            } else {
                dm.resume(device)?
            }
            done = true;
        }
    }
    for (_, device, _) in layers.iter().filter(|(layer, _, state)| *layer == Layer::Data && state.live) {
        if let (sectors, Target::SnapshotOrigin { origin }) = dm.table(device)? {
            let _memory = LockedMemory::new().context("cannot lock memory")?;
            dm.load(device, sectors, &Target::Linear { device: origin, offset: 0 })?;
            failpoint::reach("linear-loaded");
            dm.resume(device)?;
            failpoint::reach("linear-active");
            done = true;
        }
    }
    for (_, device, _) in layers.iter().filter(|(layer, ..)| *layer == Layer::Snapshot) {
        dm.remove(device)?;
        done = true;
    }
    Ok(done)
}

/// Resumes a device that is suspended; where dm-era cannot be resumed, takes it out.
pub fn let_through(dm: &Dm, name: &str) -> anyhow::Result<()> {
    // Not suspended, a device can be asked for its status; its table, always.
    let (sectors, target) = dm.table(name)?;
    let Target::Era { origin, .. } = target else { return dm.resume(name) };
    // Better without than not at all.
    let _memory = LockedMemory::new();
    Emergency::prepare(name, false, origin, sectors)?
        .issue(dm, None)
        .with_context(|| format!("{name}: cannot resume the device"))
}

/// Puts dm-era back onto a device that it was taken out of. Whoever uses it waits only for the swap.
pub fn put_back(dm: &Dm, parts: &Parts) -> anyhow::Result<()> {
    let name = &parts.name;
    let layer = |layer: Layer| {
        let device = layer.name(name);
        let state = dm.state(&device)?.filter(|state| state.live && state.uuid == layer.uuid(parts.uuid));
        anyhow::Ok(
            state.with_context(|| format!("{device}: is missing; close {name} and open it again"))?.number,
        )
    };
    let (metadata, origin) = (layer(Layer::Metadata)?, layer(Layer::Data)?);
    let target = Target::Era { metadata, origin, block_sectors: parts.block_sectors };
    let sectors = dm.table(name)?.0;
    let _memory = LockedMemory::new().context("cannot lock memory; see ulimit -l")?;
    let emergency = Emergency::prepare(name, true, origin, sectors)?;
    dm.load(name, sectors, &target)?;
    let result = dm.issue(&DmRequest::resume(name)?);
    if let Err(e) = &result {
        // The error that led here is the one to tell of.
        let _ = emergency.issue(dm, Some(e));
    }
    result.with_context(|| format!("{name}: cannot resume the device"))
}

/// What somebody else has suspended, or is about to change, of a stack; nothing of it is ours where the mark of a cut is
/// missing.
pub fn held(dm: &Dm, name: &str, uuid: Uuid) -> anyhow::Result<Option<String>> {
    let layers = present(dm, name, uuid)?;
    let is_held = |state: &State| state.live && (state.suspended || state.loaded);
    Ok(layers.into_iter().find(|(.., state)| is_held(state)).map(|(_, device, _)| device))
}

fn foreign(name: &str, state: &State) -> String {
    let uuid = if state.uuid.is_empty() { "none" } else { &state.uuid };
    format!(
        "{name}: there is a device of this name that is not of this stack (its uuid: {uuid}); choose another name"
    )
}

fn forbid_discards(device: Device) -> anyhow::Result<()> {
    let limit = format!("/sys/dev/block/{device}/queue/discard_max_bytes");
    fs::write(&limit, "0").with_context(|| format!("{limit}: cannot turn discards off"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_uuids() {
        let uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(Layer::Tracked.name("root"), "root");
        assert_eq!(Layer::Snapshot.name("root"), "root-snap");
        assert_eq!(Layer::Tracked.uuid(uuid), "ERA-0123456789abcdef0123456789abcdef");
        assert_eq!(Layer::Data.uuid(uuid), "ERA-0123456789abcdef0123456789abcdef-data");
        // The kernel has room for 128 bytes of uuid, one of them for the end.
        assert!(LAYERS.iter().all(|layer| layer.uuid(uuid).len() < 128));
    }
}
