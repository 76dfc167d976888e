// SPDX-License-Identifier: GPL-3.0-or-later
//! Damage in the repository, mended from the device: `era hashes --reread` tells the sender what is not there any more.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use era::stream::Audit;

use crate::bench::{BLOCK, Bench, Device};

/// Three points of a device whose first three blocks are as in the beginning.
fn ready() -> (Bench, Device) {
    let (mut bench, mut device) = (Bench::new(), Device::new(200_000));
    for block in 0..30 {
        device.write(block, block == 2);
    }
    let full = device.full();
    bench.receive(&full, &device);
    for round in 0..2 {
        device.write(10 + round, false);
        device.write(20, false);
        let increment = device.increment();
        bench.receive(&increment, &device);
    }
    (bench, device)
}

fn flip(path: &Path, offset: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

/// The list, and whether all is there.
fn reread(bench: &Bench) -> Vec<u8> {
    let out = bench.run(&["hashes", "--reread", "REPO"], b"", None);
    let all_is_there = !out.stdout[64..out.stdout.len() - 32].chunks(32).any(|hash| hash == [0; 32]);
    assert_eq!(out.code, Some(if all_is_there { 0 } else { 1 }), "{}", out.stderr);
    out.stdout
}

/// Damage in a block with data, in one with zeros, and in the last, which is short.
fn damaged() -> (Bench, Device, Vec<u8>) {
    let (bench, mut device) = ready();
    for offset in [BLOCK + 5, 2 * BLOCK + 7, 199_999] {
        flip(&bench.file("image"), offset);
    }
    let (list, image) = (reread(&bench), fs::read(bench.file("image")).unwrap());
    let stream = device.difference(&list, &image);
    (bench, device, stream)
}

#[test]
fn the_list_says_what_is_not_there_any_more() {
    let (bench, device) = ready();
    assert!(reread(&bench) == device.list_of(&device.bytes));
    flip(&bench.file("image"), BLOCK);
    flip(&bench.file("hashes"), 3 * 32);
    let (list, sound) = (reread(&bench), device.list_of(&device.bytes));
    let hash = |list: &[u8], unit: usize| list[64 + 32 * unit..][..32].to_vec();
    for unit in 0..device.blocks() as usize {
        let expected = if [1, 3].contains(&unit) { vec![0; 32] } else { hash(&sound, unit) };
        assert_eq!(hash(&list, unit), expected, "{unit}");
    }
}

#[test]
fn what_comes_back_is_right_in_every_point_that_has_it() {
    let (mut bench, mut device, stream) = damaged();
    let out = bench.run(&["receive", "--note", "repair", "REPO"], &stream, None);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    bench.kept.push((4, device.bytes.clone()));
    bench.check_tidy();
    let out = bench.run(&["points", "--json", "REPO"], b"", None);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(json["points"][3]["note"], "repair; 3 damaged blocks of the image are again what they were");
    assert_eq!(json["points"][3]["changed_bytes"], 0);
    // The list was good for one stream.
    bench.run(&["receive", "REPO"], &stream, None).expect_error("has changed since");
    device.write(1, false);
    let increment = device.increment();
    bench.receive(&increment, &device);
    bench.check_tidy();
}

#[test]
fn a_crash_on_the_way_makes_nothing_worse() {
    let (bench, device, stream) = damaged();
    for step in 1.. {
        let mut copy = bench.copy();
        let done = copy.run(&["receive", "REPO"], &stream, Some(step)).code == Some(0);
        if !done {
            // Whatever it had mended by then, the same stream is still good for the rest.
            if copy.ids().len() == 3 {
                let out = copy.run(&["receive", "REPO"], &stream, None);
                assert_eq!(out.code, Some(0), "step {step}: {}", out.stderr);
            }
        }
        copy.kept.push((4, device.bytes.clone()));
        copy.check();
        if done {
            assert!(step > 5, "{step}");
            return;
        }
    }
}

#[test]
fn a_damaged_hash_is_made_anew_and_what_it_was_for_stays_suspect() {
    let (bench, mut device) = ready();
    flip(&bench.file("hashes"), 3 * 32 + 1);
    let list = reread(&bench);
    let mut before = device.bytes.clone();
    before[3 * BLOCK as usize] ^= 1;
    let stream = device.difference(&list, &before);
    let out = bench.run(&["receive", "REPO"], &stream, None);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    assert!(bench.restored("latest") == device.bytes);
    let out = bench.run(&["verify", "REPO"], b"", None);
    let found = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.code, Some(1), "{found}");
    assert_eq!(found.lines().count(), 1, "{found}");
    assert!(found.contains("undo/3-4: point 3: bytes 12288 to 16383"), "{found}");
}

/// The block at this offset is named, and nothing else.
#[track_caller]
fn only_damage_is_at(bench: &Bench, offset: u64) {
    let out = bench.run(&["verify", "REPO"], b"", None);
    let found = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.code, Some(1), "{found}");
    assert!(found.lines().all(|line| line.contains(&format!("bytes {offset} to "))), "{found}");
}

#[test]
fn a_part_of_a_block_does_not_make_the_rest_of_it_right() {
    let (bench, mut device) = ready();
    flip(&bench.file("image"), 5 * BLOCK + 3000);
    let (begin, end) = (5 * BLOCK, 6 * BLOCK);
    device.bytes[begin as usize] ^= 1;
    let part = device.increment_of(begin..begin + 1024);
    let out = bench.run(&["receive", "REPO"], &part, None);
    out.expect_error("repo/image: bytes 20480 to 24576 are not what they were");
    only_damage_is_at(&bench, begin);
    // All of it does.
    device.era -= 1;
    let whole = device.increment_of(begin..end);
    let out = bench.run(&["receive", "REPO"], &whole, None);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    assert!(bench.restored("latest") == device.bytes);
    only_damage_is_at(&bench, begin);
}

#[test]
fn hashes_that_are_lost_are_made_anew() {
    let (bench, mut device) = ready();
    fs::File::options().write(true).open(bench.file("hashes")).unwrap().set_len(64).unwrap();
    bench.run(&["hashes", "REPO"], b"", None).expect_error("hashes");
    let list = reread(&bench);
    let stream = device.difference_to(&list);
    let out = bench.run(&["receive", "REPO"], &stream, None);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    assert!(bench.restored("latest") == device.bytes);
    device.write(3, false);
    let increment = device.increment();
    let out = bench.run(&["receive", "REPO"], &increment, None);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    assert!(bench.restored("latest") == device.bytes);
}

#[test]
fn what_is_known_to_be_wrong_is_not_forgotten_by_the_next_run() {
    let (mut bench, mut device) = ready();
    let audit = Audit { first: 0, stride: 1, checked: 40, differing: 1, units: vec![5] };
    let suspect = device.audited_increment(&audit);
    bench.run(&["receive", "REPO"], &suspect, None).expect_error("point 4 is SUSPECT: 1 of 40 blocks");
    for id in 5..7 {
        device.write(9, false);
        let next = device.audited_increment(&Audit { differing: 0, units: Vec::new(), ..audit.clone() });
        let says = format!("point {id} is SUSPECT: since point 4: 1 of 40 blocks");
        bench.run(&["receive", "REPO"], &next, None).expect_error(&says);
    }
    // What was compared with everything is not.
    let list = bench.list();
    let before = device.bytes.clone();
    device.write(5, false);
    let difference = device.difference(&list, &before);
    let out = bench.run(&["receive", "REPO"], &difference, None);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
    bench.kept.push((7, device.bytes.clone()));
    device.write(1, false);
    let increment = device.increment();
    let out = bench.run(&["receive", "REPO"], &increment, None);
    assert_eq!(out.code, Some(0), "{}", out.stderr);
}

/// A flipped bit in the cursor would make the next increment leave a gap that nothing can see.
#[test]
fn a_flipped_bit_in_the_manifest_is_found() {
    let (bench, mut device) = ready();
    let text = fs::read_to_string(bench.file("manifest.json")).unwrap();
    let (before, after) = (format!("\"era\": {},", device.era), format!("\"era\": {},", device.era ^ 1));
    assert!(text.contains(&before), "{text}");
    fs::write(bench.file("manifest.json"), text.replace(&before, &after)).unwrap();
    let increment = device.increment();
    for args in [&["verify", "REPO"], &["receive", "REPO"], &["points", "REPO"], &["restore", "REPO"][..]] {
        let args = if args[0] == "restore" { &["restore", "REPO", "restored"][..] } else { args };
        bench.run(args, &increment, None).expect_error("manifest.json: is damaged");
    }
}
