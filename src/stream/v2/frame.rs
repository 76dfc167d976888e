// SPDX-License-Identifier: GPL-3.0-or-later
//! The payload of a frame: a table of extents, then the data of those that hold data.

use std::ops::Range;
use std::sync::Arc;

use super::payload::Payload;
use super::record::{HEAD_BYTES, MAX_DATA_BYTES, MAX_EXTENTS, u32_at, u64_at};
use crate::blockio::Filled;
use crate::stream::error::Fault;
use crate::units::Extent;

const TABLE_HEAD_BYTES: usize = 8;
const ENTRY_BYTES: usize = 16;

/// The bit of an entry's length that says that the extent holds zeros and has no data in the frame.
const ZEROS: u64 = 1 << 63;

/// An extent of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) extent: Extent,
    pub(super) zeros: bool,
}

/// Before the data, room for the head of a record and the longest table: both are known only when the frame is full, and the
/// data need not be moved then.
const ROOM: usize = HEAD_BYTES + TABLE_HEAD_BYTES + MAX_EXTENTS * ENTRY_BYTES;

/// A frame being filled.
pub(super) struct Builder {
    entries: Vec<Entry>,
    /// Room, then the data.
    data: Payload,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), data: Payload::with_room(Vec::new(), ROOM) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn data_bytes(&self) -> usize {
        self.data.len()
    }

    /// Whether an entry more might not fit.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() == MAX_EXTENTS
    }

    /// Whether an extent may follow what is there: entries of a frame ascend and do not overlap.
    pub(super) fn accepts(&self, offset: u64) -> bool {
        self.entries.last().is_none_or(|last| last.extent.end() <= offset)
    }

    pub(super) fn push_zeros(&mut self, extent: Extent) {
        self.push_entry(Entry { extent, zeros: true });
    }

    pub(super) fn push_data(&mut self, offset: u64, bytes: &[u8]) {
        self.push_entry(Entry { extent: Extent { offset, len: bytes.len() as u64 }, zeros: false });
        self.data.gather(bytes);
    }

    /// The same, without a copy.
    pub(super) fn push_kept(&mut self, offset: u64, buffer: &Arc<Filled>, part: Range<usize>) {
        self.push_entry(Entry { extent: Extent { offset, len: part.len() as u64 }, zeros: false });
        self.data.keep(buffer, part);
    }

    /// Lengthens the last entry where the new one continues it.
    fn push_entry(&mut self, entry: Entry) {
        match self.entries.last_mut() {
            Some(last) if last.zeros == entry.zeros && last.extent.end() == entry.extent.offset => {
                last.extent.len += entry.extent.len;
            }
            _ => self.entries.push(entry),
        }
    }

    /// Returns the payload, with room before it for the head of a record. The frame is empty then, and will be filled into `spare`.
    pub(super) fn take(&mut self, spare: Vec<u8>) -> Payload {
        let mut payload = std::mem::replace(&mut self.data, Payload::with_room(spare, ROOM));
        let start = ROOM - TABLE_HEAD_BYTES - self.entries.len() * ENTRY_BYTES;
        let count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let (head, table) = payload.gathered[start..ROOM].split_at_mut(TABLE_HEAD_BYTES);
        head[..4].copy_from_slice(&count.to_le_bytes());
        head[4..].fill(0);
        for (Entry { extent, zeros }, place) in
            self.entries.drain(..).zip(table.chunks_exact_mut(ENTRY_BYTES))
        {
            place[..8].copy_from_slice(&extent.offset.to_le_bytes());
            place[8..].copy_from_slice(&(extent.len | if zeros { ZEROS } else { 0 }).to_le_bytes());
        }
        payload.start = start;
        payload
    }
}

/// The entries of a payload, all checked: they ascend, lie within the device, and their data fill the payload exactly.
///
/// Returns them with the data, which belong to the entries without zeros one after another.
pub(super) fn parse(payload: &[u8], device_bytes: u64) -> Result<(Vec<Entry>, &[u8]), Fault> {
    if payload.len() < TABLE_HEAD_BYTES {
        return Err(Fault::value("length of a frame", payload.len() as u64, "at least 8"));
    }
    let (count, reserved) = (u32_at(payload, 0) as usize, u32_at(payload, 4));
    if !(1..=MAX_EXTENTS).contains(&count) {
        return Err(Fault::value("number of extents", count as u64, format!("from 1 to {MAX_EXTENTS}")));
    }
    if reserved != 0 {
        return Err(Fault::value("reserved bytes of a frame", reserved, "0"));
    }
    let Some(data) = payload.get(TABLE_HEAD_BYTES + count * ENTRY_BYTES..) else {
        return Err(Fault::value(
            "length of a frame",
            payload.len() as u64,
            format!("enough for {count} extents"),
        ));
    };
    let mut entries = Vec::with_capacity(count);
    let (mut least, mut carried) = (0, 0u64);
    for i in 0..count {
        let entry = parse_entry(payload, TABLE_HEAD_BYTES + i * ENTRY_BYTES, least, device_bytes)?;
        least = entry.extent.end();
        if !entry.zeros {
            carried += entry.extent.len;
        }
        entries.push(entry);
    }
    if carried != data.len() as u64 || data.len() > MAX_DATA_BYTES {
        return Err(Fault::value("bytes of data in a frame", data.len() as u64, format!("{carried}")));
    }
    Ok((entries, data))
}

fn parse_entry(payload: &[u8], at: usize, least: u64, device_bytes: u64) -> Result<Entry, Fault> {
    let (offset, word) = (u64_at(payload, at), u64_at(payload, at + 8));
    let len = word & !ZEROS;
    if offset < least {
        return Err(Fault::value(
            "offset of an extent",
            offset,
            format!("at least {least}, the end of the one before"),
        ));
    }
    if len == 0 {
        return Err(Fault::value("length of an extent", len, "above 0"));
    }
    match offset.checked_add(len) {
        Some(end) if end <= device_bytes => {
            Ok(Entry { extent: Extent { offset, len }, zeros: word & ZEROS != 0 })
        }
        end => Err(Fault::value(
            "end of an extent",
            end.unwrap_or(u64::MAX),
            format!("at most {device_bytes}, the size of the device"),
        )),
    }
}
