// SPDX-License-Identifier: GPL-3.0-or-later
//! Points as files, as a mount shows them.

use era::repository::files::PointFiles;
use era::restic::files::Files;
use era::restic::points::devices;

use crate::bench::Bench;
use crate::device::MIB;
use crate::restoring::{archive, opened, three_points};

fn files(bench: &Bench) -> Files {
    let device = devices(&opened(bench).repository.get_all_snapshots().unwrap()).remove(0);
    Files::new(&archive(bench), "repository", device.points, true)
}

fn read(files: &mut Files, number: u64, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = None;
    files.read_to(number, offset, len, &mut |read| assert!(bytes.replace(read.to_vec()).is_none())).unwrap();
    files.read_ahead(number, offset, len);
    bytes.unwrap()
}

#[test]
fn any_bytes_of_any_point() {
    let bench = Bench::new();
    let images = three_points(&bench);
    let mut files = files(&bench);
    let shown = files.files().unwrap();
    assert_eq!(shown.len(), 3);
    assert_eq!(files.last().unwrap().as_ref(), shown.last());
    for file in &shown {
        assert_eq!(files.named(&file.name).unwrap().as_ref(), Some(file));
        assert_eq!(file.bytes, images[0].len() as u64);
        assert!(file.name.ends_with(".img") && file.name.contains(&bench.ids()[file.number as usize - 1]));
    }
    assert_eq!(files.named("latest").unwrap(), None);
    assert!(files.prepare(4).is_err());
    let all = images[0].len() as u64;
    // From a generator of numbers that are the same each time.
    let mut seed = 1u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    for _ in 0..300 {
        let number = next(3) + 1;
        let offset = if next(2) == 0 { next(all + 5000) } else { next(4 * MIB) };
        let len = next(3 * MIB) as usize;
        let image = &images[number as usize - 1];
        let (begin, end) = (offset.min(all) as usize, (offset + len as u64).min(all) as usize);
        assert!(read(&mut files, number, offset, len) == image[begin..end], "{number}: {len} at {offset}");
    }
    assert!(read(&mut files, 1, u64::MAX, 100).is_empty());
}

#[test]
fn from_one_end_to_the_other() {
    let bench = Bench::new();
    let images = three_points(&bench);
    let mut files = files(&bench);
    for (number, part) in [(3, 1 << 17), (1, 100_000), (2, 1 << 20)] {
        let mut bytes = Vec::new();
        while bytes.len() < images[0].len() {
            bytes.extend(read(&mut files, number, bytes.len() as u64, part));
        }
        assert!(bytes == images[number as usize - 1], "{number}");
    }
}
