// SPDX-License-Identifier: GPL-3.0-or-later
//! What a header says, as JSON, and whether it is fit for use.
//!
//! Fields that this program does not know are kept: what it writes is laid over what it has read. What must not be
//! ignored has its name in `required`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::error::{HeaderError, Invalid, Newer};
use super::{DataDevice, Header, Options, StableId, State};
use crate::device::fingerprint::Fingerprint;
use crate::device::growth::Growth;
use crate::device::sizing::{self, HEADER_BYTES, Layout};
use crate::units::{BlockSize, Era, Extent, SECTOR_BYTES};

/// Whoever does not know what a device has grown by would leave that out of increments.
const GROWTH: &str = "growth";

/// Features that this program understands.
const KNOWN_FEATURES: [&str; 1] = [GROWTH];

/// Regions begin and end at multiples of this many bytes.
const ALIGNMENT: u64 = 4096;

/// What device-mapper allows for a name.
const MAX_NAME_BYTES: usize = 127;

#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(default)]
    required: Vec<String>,
    name: Option<String>,
    device: Uuid,
    generation: Uuid,
    data: WireData,
    growth: Option<WireGrowth>,
    block_sectors: u32,
    layout: WireLayout,
    options: WireOptions,
    state: WireState,
    created: String,
    changed: String,
}

#[derive(Serialize, Deserialize)]
struct WireData {
    size_bytes: u64,
    id: Option<StableId>,
    content: Option<StableId>,
    path: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct WireGrowth {
    from_bytes: u64,
    before_era: u32,
}

#[derive(Serialize, Deserialize)]
struct WireLayout {
    metadata: WireExtent,
    cow: Option<WireExtent>,
}

#[derive(Serialize, Deserialize)]
struct WireExtent {
    offset_bytes: u64,
    len_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct WireOptions {
    discards: bool,
}

#[derive(Serialize, Deserialize)]
struct WireState {
    clean: bool,
    fingerprint: Option<WireFingerprint>,
    era: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct WireFingerprint {
    list: u32,
    size_bytes: u64,
    blake3: String,
}

/// The JSON of a header that is fit for a metadata device of this size.
pub(super) fn encode(header: &Header, device_bytes: u64) -> Result<Vec<u8>, Invalid> {
    check(header, device_bytes)?;
    let extent = |extent: Extent| WireExtent { offset_bytes: extent.offset, len_bytes: extent.len };
    let fingerprint = |fingerprint: Fingerprint| WireFingerprint {
        list: fingerprint.list,
        size_bytes: fingerprint.size_bytes,
        blake3: fingerprint.hash.to_hex().to_string(),
    };
    // Known ones only, or the header would not have been read.
    let mut required = required(&header.original)?;
    required.retain(|feature| feature != GROWTH);
    required.extend(header.growth.map(|_| GROWTH.to_owned()));
    let wire = Wire {
        required,
        name: header.name.clone(),
        device: header.device,
        generation: header.generation,
        data: WireData {
            size_bytes: header.data.size_bytes,
            id: header.data.id.clone(),
            content: header.data.content.clone(),
            path: header.data.path.clone(),
        },
        growth: header
            .growth
            .map(|growth| WireGrowth { from_bytes: growth.from_bytes, before_era: growth.before.0 }),
        block_sectors: sectors(header.block_size)?,
        layout: WireLayout { metadata: extent(header.layout.metadata), cow: header.layout.cow.map(extent) },
        options: WireOptions { discards: header.options.discards },
        state: WireState {
            clean: header.state.clean,
            fingerprint: header.state.fingerprint.map(fingerprint),
            era: header.state.era.map(|era| era.0),
        },
        created: header.created.to_string(),
        changed: header.changed.to_string(),
    };
    let mut payload = Value::Object(header.original.clone());
    lay_over(&mut payload, serde_json::to_value(&wire)?);
    Ok(serde_json::to_vec(&payload)?)
}

/// The header that a payload stands for, checked against the size of the metadata device that it was read from.
pub(super) fn decode(payload: &[u8], sequence: u64, device_bytes: u64) -> Result<Header, HeaderError> {
    let original: Map<String, Value> = serde_json::from_slice(payload).map_err(Invalid::from)?;
    // Before anything else: a newer program may have changed what the other fields mean.
    let mut unknown = required(&original)?;
    unknown.retain(|feature| !KNOWN_FEATURES.contains(&feature.as_str()));
    if !unknown.is_empty() {
        return Err(HeaderError::NewerFormat(Newer::Features(unknown)));
    }
    let wire = Wire::deserialize(Value::Object(original.clone())).map_err(Invalid::from)?;
    let extent = |extent: WireExtent| Extent { offset: extent.offset_bytes, len: extent.len_bytes };
    let header = Header {
        name: wire.name,
        device: wire.device,
        generation: wire.generation,
        data: DataDevice {
            size_bytes: wire.data.size_bytes,
            id: wire.data.id,
            content: wire.data.content,
            path: wire.data.path,
        },
        growth: wire
            .growth
            .map(|growth| Growth { from_bytes: growth.from_bytes, before: Era(growth.before_era) }),
        block_size: sizing::check_block_size(u64::from(wire.block_sectors) * SECTOR_BYTES)
            .map_err(Invalid::from)?,
        layout: Layout { metadata: extent(wire.layout.metadata), cow: wire.layout.cow.map(extent) },
        options: Options { discards: wire.options.discards },
        state: State {
            clean: wire.state.clean,
            fingerprint: wire.state.fingerprint.map(fingerprint).transpose()?,
            era: wire.state.era.map(Era),
        },
        created: time("created", wire.created)?,
        changed: time("changed", wire.changed)?,
        sequence,
        original,
    };
    check(&header, device_bytes)?;
    Ok(header)
}

fn required(payload: &Map<String, Value>) -> Result<Vec<String>, Invalid> {
    Ok(payload.get("required").map(Vec::deserialize).transpose()?.unwrap_or_default())
}

/// Puts every field of `new` into `old`, objects field by field, and leaves what `new` does not name.
fn lay_over(old: &mut Value, new: Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                lay_over(old.entry(key).or_insert(Value::Null), value);
            }
        }
        (old, new) => *old = new,
    }
}

fn fingerprint(wire: WireFingerprint) -> Result<Fingerprint, Invalid> {
    let hash = blake3::Hash::from_hex(&wire.blake3).map_err(|_| Invalid::Field {
        field: "state.fingerprint.blake3",
        found: wire.blake3,
        expected: "64 hexadecimal digits",
    })?;
    Ok(Fingerprint { list: wire.list, size_bytes: wire.size_bytes, hash })
}

fn time(field: &'static str, text: String) -> Result<Timestamp, Invalid> {
    let expected = "a time in RFC 3339";
    text.parse().map_err(|_| Invalid::Field { field, found: text, expected })
}

fn sectors(block_size: BlockSize) -> Result<u32, Invalid> {
    let sectors = sizing::check_block_size(block_size.bytes())?.bytes() / SECTOR_BYTES;
    u32::try_from(sectors).map_err(|_| Invalid::BlockSize(sizing::BadBlockSize { given: block_size.bytes() }))
}

fn check(header: &Header, device_bytes: u64) -> Result<(), Invalid> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.len() <= MAX_NAME_BYTES
            && !name.contains(|c: char| c == '/' || c.is_control())
    };
    if let Some(name) = header.name.as_ref().filter(|name| !is_name(name)) {
        let expected = "1 to 127 bytes without control characters and slashes";
        return Err(Invalid::Field { field: "name", found: name.clone(), expected });
    }
    let id = header.data.id.as_ref();
    let printed = [
        ("data.id.kind", id.map(|id| &id.kind)),
        ("data.id.value", id.map(|id| &id.value)),
        ("data.path", header.data.path.as_ref()),
    ];
    for (field, text) in printed {
        if let Some(text) = text.filter(|text| text.contains(char::is_control)) {
            let expected = "without control characters";
            return Err(Invalid::Field { field, found: text.clone(), expected });
        }
    }
    let size = header.data.size_bytes;
    if !size.is_multiple_of(SECTOR_BYTES) || size > i64::MAX.cast_unsigned() {
        let expected = "a multiple of 512 below 2^63";
        return Err(Invalid::Field { field: "data.size_bytes", found: size.to_string(), expected });
    }
    if let Some(from) = header.growth.map(|growth| growth.from_bytes)
        && (!from.is_multiple_of(SECTOR_BYTES) || from >= size)
    {
        let expected = "a multiple of 512 below the size of the data device";
        return Err(Invalid::Field { field: "growth.from_bytes", found: from.to_string(), expected });
    }
    sizing::check_block_size(header.block_size.bytes())?;
    sizing::count_blocks(size, header.block_size)?;
    let metadata = header.layout.metadata;
    check_region("metadata", metadata, device_bytes)?;
    if let Some(cow) = header.layout.cow {
        check_region("cow", cow, device_bytes)?;
        if cow.offset < metadata.end() && metadata.offset < cow.end() {
            let problem = "overlaps the metadata region";
            return Err(Invalid::Region { what: "cow", extent: cow, problem });
        }
    }
    Ok(())
}

fn check_region(what: &'static str, extent: Extent, device_bytes: u64) -> Result<(), Invalid> {
    let is_aligned = extent.offset.is_multiple_of(ALIGNMENT) && extent.len.is_multiple_of(ALIGNMENT);
    let problem = match extent.offset.checked_add(extent.len) {
        _ if extent.len == 0 => "is empty",
        _ if !is_aligned => "is not aligned to 4096 bytes",
        _ if extent.offset < HEADER_BYTES => "overlaps the header",
        Some(end) if end <= device_bytes => return Ok(()),
        _ => "reaches past the end of the metadata device",
    };
    Err(Invalid::Region { what, extent, problem })
}
