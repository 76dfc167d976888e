// SPDX-License-Identifier: GPL-3.0-or-later
//! Tests of the header as a whole, on a device that loses power, rots and fails.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::memory::{Memory, SECTOR};
use super::super::{DataDevice, Invalid, Options, StableId, State};
use super::*;
use crate::device::fingerprint::Fingerprint;
use crate::device::growth::Growth;
use crate::device::sizing::{self, Layout};
use crate::units::Era;

const MIB: u64 = 1 << 20;
const DEVICE_BYTES: u64 = 8 * MIB;

fn device() -> Memory {
    Memory::new(vec![0; DEVICE_BYTES as usize])
}

fn header() -> Header {
    let data = DataDevice {
        size_bytes: 1 << 30,
        id: Some(StableId { kind: "partuuid".into(), value: "1d0f2a44-01".into() }),
        content: None,
        path: Some("/dev/vda1".into()),
    };
    let block_size = sizing::check_block_size(512 << 10).unwrap();
    let layout = sizing::layout(DEVICE_BYTES, 2048, None).unwrap();
    Header::new(Uuid::from_u128(1), Uuid::from_u128(2), data, block_size, layout)
}

/// A device with a header that has been written twice.
fn written() -> (Memory, Header) {
    let device = device();
    let mut header = header();
    assert!(write(&mut header, &device, &device).unwrap().is_none());
    assert!(write(&mut header, &device, &device).unwrap().is_none());
    (device, header)
}

/// Puts a payload into both copies as an honest writer would.
fn put_payload(device: &Memory, version: u32, payload: &Value) {
    let copy = Copy { version, sequence: 9, payload: payload.to_string().into_bytes() };
    for slot in 0..2 {
        slot::write(device, device, slot, &slot::pack(slot, &copy).unwrap()).unwrap();
    }
}

fn payload_of(device: &Memory) -> Map<String, Value> {
    serde_json::from_slice(&newest(device).unwrap().copy.payload).unwrap()
}

#[test]
fn what_is_written_is_read() {
    let (device, header) = written();
    let found = read(&device).unwrap();
    assert_eq!(found.header.sequence(), 2);
    assert!(found.note.is_none());
    assert_eq!(Header { original: Map::new(), ..found.header }, Header { original: Map::new(), ..header });
}

#[test]
fn a_device_without_a_header_is_told_from_a_damaged_one() {
    assert!(matches!(read(&device()), Err(HeaderError::NotThere)));
    for size in [0, 512, 16 << 10, 512 << 10] {
        assert!(matches!(read(&Memory::new(vec![0; size])), Err(HeaderError::NotThere)), "{size}");
    }
    let (device, _) = written();
    device.flip(100);
    device.flip(OFFSETS[1] as usize + 100);
    let error = read(&device).unwrap_err();
    assert!(matches!(error, HeaderError::Damaged([SlotProblem::Checksum, SlotProblem::Checksum])), "{error}");
}

#[test]
fn one_damaged_copy_is_a_note_and_writing_mends_it() {
    for (slot, offset) in OFFSETS.into_iter().enumerate() {
        for at in (0..SLOT_BYTES).step_by(61) {
            let (device, mut header) = written();
            device.flip(offset as usize + at);
            let found = read(&device).unwrap();
            assert_eq!(found.header.sequence(), 2);
            assert_eq!(found.note.unwrap().slot, slot);
            write(&mut header, &device, &device).unwrap();
            assert!(read(&device).unwrap().note.is_none());
        }
    }
}

#[test]
fn copies_that_contradict_each_other_are_refused() {
    let (device, _) = written();
    let Newest { copy, .. } = newest(&device).unwrap();
    for distance in [0, 1 << 63] {
        let other = Copy { sequence: copy.sequence ^ distance, payload: b"{}".to_vec(), ..copy };
        slot::write(&device, &device, 1, &slot::pack(1, &other).unwrap()).unwrap();
        assert!(matches!(read(&device), Err(HeaderError::Damaged([SlotProblem::Contradiction(_), _]))));
    }
}

#[test]
fn sequence_numbers_wrap_around() {
    let (device, mut header) = written();
    header.sequence = u64::MAX;
    let payload = payload::encode(&header, DEVICE_BYTES).unwrap();
    let copy = Copy { version: VERSION, sequence: u64::MAX, payload };
    for slot in 0..2 {
        slot::write(&device, &device, slot, &slot::pack(slot, &copy).unwrap()).unwrap();
    }
    let mut header = read(&device).unwrap().header;
    // Only the first copy gets the new number.
    device.power.set(Some(SLOT_BYTES + 1));
    let note = write(&mut header, &device, &device).unwrap();
    assert!(matches!(note, Some(Note { slot: 0, problem: SlotProblem::NotWritten(_) })), "{note:?}");
    assert_eq!(header.sequence(), 1);
    let device = device.after_crash(|_| false);
    let found = read(&device).unwrap();
    assert_eq!(found.header.sequence(), 1);
    assert!(matches!(found.note.unwrap().problem, SlotProblem::Outdated { found: u64::MAX, newest: 1 }));
    write(&mut header, &device, &device).unwrap();
    assert_eq!(read(&device).unwrap().header.sequence(), 2);
}

#[test]
fn a_header_is_not_written_over_one_that_it_does_not_come_from() {
    let (device, mut header) = written();
    let before = device.bytes();
    let mut outdated = Header { sequence: 1, ..header.clone() };
    let mut new = self::header();
    for stranger in [&mut outdated, &mut new] {
        let refused = write(stranger, &device, &device).unwrap_err();
        assert!(matches!(refused, HeaderError::Changed { found: Some(2), .. }), "{refused}");
    }
    assert_eq!(device.bytes(), before);
    wipe(&device, &device).unwrap();
    assert!(matches!(
        write(&mut header, &device, &device),
        Err(HeaderError::Changed { ours: 2, found: None })
    ));
    assert!(matches!(read(&device), Err(HeaderError::NotThere)));
}

#[test]
fn a_new_header_may_replace_damaged_remains() {
    let (device, mut old) = written();
    device.flip(100);
    device.flip(OFFSETS[1] as usize + 100);
    assert!(matches!(write(&mut old, &device, &device), Err(HeaderError::Damaged(_))));
    write(&mut header(), &device, &device).unwrap();
    assert!(read(&device).unwrap().note.is_none());
}

#[test]
fn a_write_that_is_not_there_afterwards_is_an_error_and_the_old_header_stays() {
    let (device, mut header) = written();
    device.lies.set(true);
    let error = write(&mut header, &device, &device).unwrap_err();
    assert!(matches!(error, HeaderError::NotWritten { .. }), "{error}");
    assert_eq!(header.sequence(), 2);
    assert_eq!(read(&device).unwrap().header.sequence(), 2);
}

#[test]
fn a_bad_sector_under_one_copy() {
    let bad = |slot: usize| Some(Extent { offset: OFFSETS[slot] + 512, len: 512 });
    // The copy that can be read is not risked.
    let (device, mut header) = written();
    device.bad.set(bad(1));
    assert!(matches!(write(&mut header, &device, &device), Err(HeaderError::NotWritten { slot: 1, .. })));
    assert_eq!(read(&device).unwrap().header.sequence(), 2);
    assert!(matches!(
        read(&device).unwrap().note,
        Some(Note { slot: 1, problem: SlotProblem::Unreadable(_) })
    ));
    device.bad.set(bad(0));
    assert!(matches!(write(&mut header, &device, &device), Err(HeaderError::NotWritten { slot: 0, .. })));
    device.bad.set(None);
    write(&mut header, &device, &device).unwrap();
    // Both cannot be read: not the same as not there, and never written over.
    device.bad.set(Some(Extent { offset: 0, len: MIB }));
    let error = write(&mut self::header(), &device, &device).unwrap_err();
    assert!(matches!(error, HeaderError::Damaged([SlotProblem::Unreadable(_), _])), "{error}");
}

#[test]
fn the_old_header_or_the_new_one_at_every_moment_of_a_write() {
    let (device, header) = written();
    let before = device.bytes();
    // Every sector, and a byte more or less.
    let moments = (0..=2 * SLOT_BYTES).step_by(SECTOR).flat_map(|at| [at.saturating_sub(1), at, at + 1]);
    for power in moments {
        let device = Memory::new(before.clone());
        device.power.set(Some(power));
        let mut header = Header { name: Some("new".into()), ..header.clone() };
        let result = write(&mut header, &device, &device);
        let lost: [&dyn Fn(usize) -> bool; 4] =
            [&|_| true, &|_| false, &|n| n.is_multiple_of(2), &|n| n % 7 == 3];
        for survives in lost {
            let device = device.after_crash(survives);
            let mut found = read(&device).unwrap().header;
            match found.sequence() {
                2 => assert!(result.is_err() && found.name.is_none()),
                3 => assert_eq!(found.name.as_deref(), Some("new")),
                other => panic!("{other}"),
            }
            let expected = found.sequence() + 1;
            write(&mut found, &device, &device).unwrap();
            let now = read(&device).unwrap();
            assert_eq!((now.header.sequence(), now.note.is_none()), (expected, true));
        }
    }
}

#[test]
fn a_header_is_there_unchanged_or_gone_at_every_moment_of_a_wipe() {
    for slot in 0..2 {
        let (device, header) = written();
        // One copy is outdated: it must not come back to life.
        let outdated = Copy { sequence: 1, ..newest(&device).unwrap().copy };
        slot::write(&device, &device, slot, &slot::pack(slot, &outdated).unwrap()).unwrap();
        for power in (0..=2 * SLOT_BYTES).step_by(SECTOR / 2) {
            let device = Memory::new(device.bytes());
            device.power.set(Some(power));
            let _ = wipe(&device, &device);
            for survives in [true, false] {
                match read(&device.after_crash(|_| survives)) {
                    Ok(found) => assert_eq!(found.header.sequence(), header.sequence()),
                    Err(HeaderError::NotThere) => assert!(power > SLOT_BYTES),
                    Err(other) => panic!("{other}"),
                }
            }
        }
        wipe(&device, &device).unwrap();
        assert!(matches!(read(&device), Err(HeaderError::NotThere)));
        assert!(device.bytes().iter().all(|&byte| byte == 0));
    }
}

#[test]
fn unknown_fields_are_kept_and_unknown_required_features_refused() {
    let (device, _) = written();
    let mut payload = Value::Object(payload_of(&device));
    payload["later"] = json!({"a": [1, 2]});
    payload["state"]["mood"] = json!("fine");
    put_payload(&device, VERSION, &payload);
    let mut header = read(&device).unwrap().header;
    header.state.clean = true;
    write(&mut header, &device, &device).unwrap();
    let now = payload_of(&device);
    assert_eq!(now["later"], json!({"a": [1, 2]}));
    assert_eq!((&now["state"]["mood"], &now["state"]["clean"]), (&json!("fine"), &json!(true)));

    payload["required"] = json!(["two-cows"]);
    payload["block_sectors"] = json!("means something else now");
    put_payload(&device, VERSION, &payload);
    let error = read(&device).unwrap_err();
    assert_eq!(error.to_string(), "the header was written by a newer version of era: it requires two-cows");
    payload["required"] = json!(["\u{1b}[2J"]);
    put_payload(&device, VERSION, &payload);
    assert!(!read(&device).unwrap_err().to_string().contains(char::is_control));
    put_payload(&device, VERSION + 1, &json!({}));
    assert!(matches!(read(&device), Err(HeaderError::NewerFormat(Newer::Version(2)))));
}

#[test]
fn a_growth_must_be_understood_for_as_long_as_it_is_there() {
    let (device, mut header) = written();
    assert_eq!(payload_of(&device)["required"], json!([]));
    for (growth, required) in
        [(Some(Growth { from_bytes: 512, before: Era(7) }), json!(["growth"])), (None, json!([]))]
    {
        for _ in 0..2 {
            header.growth = growth;
            write(&mut header, &device, &device).unwrap();
            assert_eq!(payload_of(&device)["required"], required);
            header = read(&device).unwrap().header;
            assert_eq!(header.growth, growth);
        }
    }
}

#[test]
fn what_is_not_fit_for_use_is_refused() {
    let (device, header) = written();
    let good = Value::Object(payload_of(&device));
    let refused = |path: &str, value: Value| {
        let mut payload = good.clone();
        *payload.pointer_mut(path).unwrap() = value;
        put_payload(&device, VERSION, &payload);
        match read(&device) {
            Err(HeaderError::Invalid(invalid)) => invalid.to_string(),
            other => panic!("{path}: {other:?}"),
        }
    };
    let region = |offset: u64, len: u64| json!({"offset_bytes": offset, "len_bytes": len});
    let cases = [
        ("/layout/metadata", region(0, MIB), "overlaps the header"),
        ("/layout/metadata", region(MIB, 0), "is empty"),
        ("/layout/metadata", region(MIB, 512), "not aligned"),
        ("/layout/metadata", region(MIB, DEVICE_BYTES), "past the end"),
        ("/layout/metadata", region(u64::MAX - 4095, 8192), "past the end"),
        ("/layout/cow", region(MIB, MIB), "overlaps the metadata region"),
        ("/layout/cow", region(MIB + 4096, 4096), "overlaps the metadata region"),
        ("/block_sectors", json!(0), "multiples of 4096"),
        ("/block_sectors", json!(9), "multiples of 4096"),
        ("/data/size_bytes", json!(0), "no bytes"),
        ("/data/size_bytes", json!(513), "multiple of 512"),
        ("/data/size_bytes", json!(u64::MAX - 511), "below 2^63"),
        ("/data/size_bytes", json!(-1), "malformed"),
        ("/data/size_bytes", json!(1u64 << 60), "are too many"),
        ("/growth", json!({"from_bytes": 513, "before_era": 1}), "multiple of 512 below"),
        ("/growth", json!({"from_bytes": 1u64 << 30, "before_era": 1}), "multiple of 512 below"),
        ("/growth", json!({"from_bytes": 512}), "malformed"),
        ("/created", json!("yesterday"), "RFC 3339"),
        ("/device", json!("yesterday"), "malformed"),
        ("/name", json!("a/b"), "slashes"),
        ("/name", json!(""), "slashes"),
        ("/data/id", json!({"kind": "wwid", "value": "\u{1b}[2J"}), "data.id.value is"),
        ("/data/id", json!({"kind": "\u{9b}2J", "value": "x"}), "data.id.kind is"),
        ("/data/path", json!("/dev/\rsda"), "data.path is"),
        ("/device", json!("\u{1b}"), "malformed"),
        ("/block_sectors", json!("\u{1b}[2J"), "malformed"),
        ("/created", json!("\u{1b}[2J"), "RFC 3339"),
        ("/state", json!({"clean": true, "fingerprint": {"list": 1, "size_bytes": 1, "blake3": "00"}}), "64"),
        ("", json!({}), "missing field"),
    ];
    for (path, value, message) in cases {
        let said = refused(path, value);
        assert!(said.contains(message), "{path}: {said}");
        assert!(!said.contains(char::is_control), "{path}: {said:?}");
    }
    put_payload(&device, VERSION, &json!([1]));
    assert!(matches!(read(&device), Err(HeaderError::Invalid(Invalid::Json(_)))));
    // Nor is it written.
    let (device, _) = written();
    let layout = Layout { cow: Some(header.layout.metadata), ..header.layout };
    let mut bad = Header { layout, ..header };
    assert!(matches!(write(&mut bad, &device, &device), Err(HeaderError::Invalid(Invalid::Region { .. }))));
    assert_eq!(read(&device).unwrap().header.sequence(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_header_survives(
        name in prop::option::of("[^/\\p{Cc}]{1,30}"),
        ids in any::<(u128, u128)>(),
        id in prop::option::of(("\\P{Cc}{0,40}", "\\P{Cc}{0,200}")),
        sectors in 1u64..1 << 34,
        discards: bool,
        clean: bool,
        print in prop::option::of((any::<u32>(), any::<u64>(), any::<[u8; 32]>())),
        cow in prop::option::of(0u64..3 * MIB),
        growth in prop::option::of(any::<u32>()),
        era in prop::option::of(any::<u32>()),
    ) {
        let device = device();
        let mut header = header();
        header.name = name;
        header.device = Uuid::from_u128(ids.0);
        header.generation = Uuid::from_u128(ids.1);
        let id = id.map(|(kind, value)| StableId { kind, value });
        header.data = DataDevice { size_bytes: sectors * 512, content: id.clone(), id, path: None };
        header.growth = growth.filter(|_| sectors > 1).map(|era| Growth { from_bytes: 512, before: Era(era) });
        header.layout = sizing::layout(DEVICE_BYTES, 2048, cow).unwrap();
        header.options = Options { discards };
        let fingerprint =
            print.map(|(list, size_bytes, hash)| Fingerprint { list, size_bytes, hash: hash.into() });
        header.state = State { clean, fingerprint, era: era.map(Era) };
        write(&mut header, &device, &device).unwrap();
        let found = read(&device).unwrap().header;
        prop_assert_eq!(Header { original: Map::new(), ..found }, header);
    }

    #[test]
    fn foreign_bytes_are_an_error_and_nothing_else(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        slot in 0..2usize,
        at in 0..SLOT_BYTES,
    ) {
        let (device, _) = written();
        let at = OFFSETS[slot] as usize + at;
        let mut image = device.bytes();
        image[at..at + bytes.len()].copy_from_slice(&bytes);
        let found = read(&Memory::new(image)).unwrap();
        prop_assert_eq!(found.header.sequence(), 2);
    }
}
