// SPDX-License-Identifier: GPL-3.0-or-later
//! A point that is open while others come, break off, and are undone: whatever moment it is read in, it is what it was.

use std::path::Path;

use era::repository::bulk::{Contents, Zeros};
use era::repository::points::Selector;
use era::repository::view::View;

use crate::bench::{Bench, Device};

fn open(path: &Path, id: u64) -> View {
    View::open(path, Selector::Id(id)).unwrap()
}

#[track_caller]
fn is_what_it_was(view: &mut View, expected: &[u8], when: &str) {
    let geometry = view.geometry();
    for unit in 0..geometry.units() {
        let extent = geometry.extent(unit);
        let mut buf = vec![0; extent.len as usize];
        view.read_checked(unit, &mut buf).unwrap_or_else(|e| panic!("{when}: unit {unit}: {e:#}"));
        assert!(buf == expected[extent.offset as usize..][..buf.len()], "{when}: unit {unit}");
    }
    for zeros in [Zeros::Read, Zeros::Trust] {
        assert!(read_many(view, 0..geometry.units(), zeros) == *expected, "{when}: many units, {zeros:?}");
    }
}

/// Units one behind the other, each checked.
fn read_many(view: &mut View, units: impl Iterator<Item = u64>, zeros: Zeros) -> Vec<u8> {
    let (geometry, mut all, mut wanted) = (view.geometry(), Vec::new(), Vec::new());
    let mut got = Vec::new();
    view.read_units(units.inspect(|unit| wanted.push(*unit)), zeros, &mut |unit, found| {
        got.push(unit);
        let found = found?;
        let begin = all.len();
        match found.contents {
            Contents::Bytes(bytes) => all.extend_from_slice(&bytes),
            Contents::Zeros => all.resize(begin + geometry.extent(unit).len as usize, 0),
        }
        assert_eq!(*blake3::hash(&all[begin..]).as_bytes(), found.expected, "unit {unit}");
        assert_eq!(found.hash, found.expected, "unit {unit}");
        Ok(())
    })
    .unwrap();
    assert_eq!(got, wanted);
    all
}

#[test]
fn units_of_any_size_are_put_together_from_what_is_read_at_once() {
    // Of 3 and of 3000 sectors: pieces of a MiB end anywhere in them.
    for (block_bytes, units) in [(1536, 1000), (1_536_000, 5)] {
        let bench = Bench::new();
        let mut device = Device::new(block_bytes as usize * units - 512);
        for block in (0..device.blocks()).filter(|block| block % 700 < 500) {
            device.write(block, false);
        }
        let out = bench.run(&["receive", "REPO"], &device.full_in_blocks(block_bytes), None);
        assert_eq!(out.code, Some(0), "{}", out.stderr);
        let mut view = open(&bench.path(), 1);
        let geometry = view.geometry();
        assert_eq!(geometry.units(), units as u64);
        for zeros in [Zeros::Read, Zeros::Trust] {
            assert!(read_many(&mut view, 0..geometry.units(), zeros) == device.bytes, "{block_bytes}");
            let some = (0..geometry.units()).filter(|unit| unit % 7 != 3 && unit % 5 != 1);
            let expected: Vec<u8> = some
                .clone()
                .flat_map(|unit| {
                    let extent = geometry.extent(unit);
                    device.bytes[extent.offset as usize..extent.end() as usize].to_vec()
                })
                .collect();
            assert!(read_many(&mut view, some, zeros) == expected, "{block_bytes}");
        }
    }
}

#[test]
fn beside_a_run_that_breaks_off_anywhere_and_is_undone_step_by_step() {
    let (mut bench, mut device) = (Bench::new(), Device::new(100_000));
    device.write_some(20);
    let full = device.full();
    bench.receive(&full, &device);
    device.write_some(6);
    let increment = device.increment();
    bench.receive(&increment, &device);
    device.write_some(9);
    let stream = device.increment();
    for step in (1..).step_by(3) {
        let copy = bench.copy();
        let mut early = [open(&copy.path(), 1), open(&copy.path(), 2)];
        let check = |views: &mut [View; 2], when: &str| {
            for (view, (_, expected)) in views.iter_mut().zip(&bench.kept) {
                is_what_it_was(view, expected, when);
            }
        };
        check(&mut early, "before");
        let done = copy.run(&["receive", "REPO"], &stream, Some(step)).code == Some(0);
        // Opened, and not read yet, when all is undone.
        let mut late = [open(&copy.path(), 1), open(&copy.path(), 2)];
        let mut middle = [open(&copy.path(), 1), open(&copy.path(), 2)];
        check(&mut early, &format!("broken off at {step}"));
        for undoing in 1.. {
            let undone = copy.run(&["prune", "--keep-last", "9", "REPO"], b"", Some(undoing)).code;
            check(&mut early, &format!("broken off at {step}, undoing at {undoing}"));
            if undoing == 4 {
                check(&mut middle, &format!("broken off at {step}, first read when undoing at {undoing}"));
            }
            if undone == Some(0) {
                break;
            }
        }
        check(&mut late, &format!("broken off at {step} and undone"));
        check(&mut middle, &format!("broken off at {step} and undone"));
        // The same journal once more, with the same name.
        let out = copy.run(&["receive", "REPO"], &stream, None);
        assert!(out.code == Some(0) || done, "{}", out.stderr);
        for views in [&mut early, &mut middle, &mut late] {
            check(views, &format!("broken off at {step}, undone, and done"));
        }
        if done {
            return;
        }
    }
}
