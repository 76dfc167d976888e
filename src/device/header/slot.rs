// SPDX-License-Identifier: GPL-3.0-or-later
//! One copy of the header as bytes.
//!
//! The first 64 bytes and what the hash covers are the same in every version of the format, so that a newer version is
//! told from damage. The hash covers the padding too: any flipped bit shows.

use std::io;

use super::error::{Invalid, SlotProblem};
use crate::blockio::{ReadAt, ReadError, WriteAt, read_exact, write_full};
use crate::sys::AlignedBuf;

/// Where the copies are.
pub(super) const OFFSETS: [u64; 2] = [0, 512 << 10];

/// Bytes in a copy.
pub(super) const SLOT_BYTES: usize = 16 << 10;

/// The version of the format that is written and read.
pub(super) const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"ERAHEAD\x8e";
const VERSION_AT: usize = 8;
const SLOT_AT: usize = 12;
const SEQUENCE_AT: usize = 16;
const LENGTH_AT: usize = 24;
const HASH_AT: usize = 32;
const PAYLOAD_AT: usize = 64;

/// Room for the payload.
pub(super) const PAYLOAD_ROOM: usize = SLOT_BYTES - PAYLOAD_AT;

/// An undamaged copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) version: u32,
    pub(super) sequence: u64,
    pub(super) payload: Vec<u8>,
}

/// The bytes of a copy that belongs into a slot.
pub(super) fn pack(slot: usize, copy: &Copy) -> Result<AlignedBuf, Invalid> {
    let len = copy.payload.len();
    let too_long = Invalid::TooLong { len, room: PAYLOAD_ROOM };
    let (Ok(number), Ok(length)) = (u32::try_from(slot), u32::try_from(len)) else { return Err(too_long) };
    if len > PAYLOAD_ROOM {
        return Err(too_long);
    }
    let mut bytes = AlignedBuf::new(SLOT_BYTES, 4096);
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, MAGIC);
    put(VERSION_AT, &copy.version.to_le_bytes());
    put(SLOT_AT, &number.to_le_bytes());
    put(SEQUENCE_AT, &copy.sequence.to_le_bytes());
    put(LENGTH_AT, &length.to_le_bytes());
    put(PAYLOAD_AT, &copy.payload);
    let hash = hash(&bytes);
    bytes[HASH_AT..PAYLOAD_AT].copy_from_slice(hash.as_bytes());
    Ok(bytes)
}

/// Checks the bytes of a slot. Nothing in them is used before the hash has been found right.
pub(super) fn unpack(slot: usize, bytes: &[u8]) -> Result<Copy, SlotProblem> {
    if !bytes.starts_with(MAGIC) {
        return Err(SlotProblem::NoMagic);
    }
    if *hash(bytes).as_bytes() != bytes[HASH_AT..PAYLOAD_AT] {
        return Err(SlotProblem::Checksum);
    }
    let number = u32::from_le_bytes(field(bytes, SLOT_AT));
    if usize::try_from(number) != Ok(slot) {
        return Err(SlotProblem::Misplaced(number));
    }
    let length = u32::from_le_bytes(field(bytes, LENGTH_AT));
    let payload = usize::try_from(length).ok().and_then(|length| bytes[PAYLOAD_AT..].get(..length));
    Ok(Copy {
        version: u32::from_le_bytes(field(bytes, VERSION_AT)),
        sequence: u64::from_le_bytes(field(bytes, SEQUENCE_AT)),
        payload: payload.ok_or(SlotProblem::Length(length))?.to_vec(),
    })
}

/// Reads and checks a slot.
pub(super) fn read(source: &dyn ReadAt, slot: usize) -> Result<Copy, SlotProblem> {
    let end = OFFSETS[slot] + SLOT_BYTES as u64;
    if end > source.size() {
        return Err(SlotProblem::PastTheEnd(source.size()));
    }
    unpack(slot, &read_bytes(source, slot)?)
}

fn read_bytes(source: &dyn ReadAt, slot: usize) -> Result<AlignedBuf, ReadError> {
    let mut bytes = AlignedBuf::new(SLOT_BYTES, source.align().max(4096));
    read_exact(source, &mut bytes, OFFSETS[slot])?;
    Ok(bytes)
}

/// Writes a slot and returns when it is durable and has been read back.
pub(super) fn write(
    source: &dyn ReadAt,
    target: &dyn WriteAt,
    slot: usize,
    bytes: &AlignedBuf,
) -> io::Result<()> {
    write_full(target, bytes, OFFSETS[slot])?;
    target.sync()?;
    match read_bytes(source, slot) {
        Ok(now) if now[..] == bytes[..] => Ok(()),
        Ok(_) => Err(io::Error::other("the device does not hold what was written to it")),
        Err(e) => Err(io::Error::other(e)),
    }
}

/// The hash of a copy, its own place taken as zeros.
fn hash(bytes: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes[..HASH_AT]).update(&[0; PAYLOAD_AT - HASH_AT]).update(&bytes[PAYLOAD_AT..]);
    hasher.finalize()
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy() -> Copy {
        Copy { version: VERSION, sequence: 7, payload: b"{\"a\":1}".to_vec() }
    }

    #[test]
    fn any_flipped_bit_shows() {
        for slot in 0..2 {
            let bytes = pack(slot, &copy()).unwrap();
            assert_eq!(unpack(slot, &bytes).unwrap(), copy());
            for at in 0..SLOT_BYTES {
                let mut damaged = bytes.to_vec();
                damaged[at] ^= 1 << (at % 8);
                let problem = unpack(slot, &damaged).unwrap_err();
                match at {
                    0..8 => assert!(matches!(problem, SlotProblem::NoMagic), "{at}: {problem}"),
                    _ => assert!(matches!(problem, SlotProblem::Checksum), "{at}: {problem}"),
                }
            }
        }
    }

    #[test]
    fn a_length_beyond_the_slot_is_refused_even_with_the_right_hash() {
        for length in [PAYLOAD_ROOM as u32 + 1, u32::MAX] {
            let mut bytes = pack(0, &copy()).unwrap();
            bytes[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_le_bytes());
            let hash = hash(&bytes);
            bytes[HASH_AT..PAYLOAD_AT].copy_from_slice(hash.as_bytes());
            assert!(matches!(unpack(0, &bytes), Err(SlotProblem::Length(found)) if found == length));
        }
    }

    #[test]
    fn a_copy_in_the_place_of_the_other_is_refused() {
        let bytes = pack(0, &copy()).unwrap();
        assert!(matches!(unpack(1, &bytes), Err(SlotProblem::Misplaced(0))));
    }

    #[test]
    fn a_payload_may_fill_the_slot_and_no_more() {
        let full = Copy { payload: vec![b'x'; PAYLOAD_ROOM], ..copy() };
        assert_eq!(unpack(1, &pack(1, &full).unwrap()).unwrap(), full);
        let more = Copy { payload: vec![b'x'; PAYLOAD_ROOM + 1], ..copy() };
        assert!(matches!(pack(1, &more), Err(Invalid::TooLong { .. })));
    }
}
