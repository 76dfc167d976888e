// SPDX-License-Identifier: GPL-3.0-or-later
//! What is damaged or missing is found, and never handed out.

use std::fs;
use std::path::PathBuf;

use era::repository::files::PointFiles;
use era::restic::files::Files;
use era::restic::points::devices;

use crate::bench::Bench;
use crate::restoring::{archive, opened, three_points};

/// All packs, the largest first: those of data.
fn packs(bench: &Bench) -> Vec<PathBuf> {
    let mut packs: Vec<_> = fs::read_dir(bench.repository().join("data"))
        .unwrap()
        .flat_map(|directory| fs::read_dir(directory.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    packs.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
    packs
}

/// Changes a byte.
fn flip(path: &PathBuf, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    let mut permissions = fs::metadata(path).unwrap().permissions();
    #[allow(clippy::permissions_set_readonly_false)]
    permissions.set_readonly(false);
    fs::set_permissions(path, permissions).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_changed_byte_is_found_by_whoever_reads_it() {
    let bench = Bench::new();
    let images = three_points(&bench);
    let pack = packs(&bench).remove(0);
    flip(&pack, 100_000);
    let id = &pack.file_name().unwrap().to_str().unwrap()[..8];
    // Nothing of it is written after what is right.
    let target = bench.path("target");
    let oldest = format!("{}@latest~2", bench.url());
    let run = bench.run(&["restore", &oldest, &target]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("bytes ") && run.stderr.contains("point "), "{}", run.stderr);
    assert!(run.stderr.contains("MAC check failed") && run.stderr.len() < 500, "{}", run.stderr);
    // Without the data all is there; with them, where it is damaged.
    assert_eq!(bench.run(&["verify", &bench.url()]).code, Some(0));
    let run = bench.run(&["verify", &bench.url(), "--read-data", "--json"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let lines: Vec<serde_json::Value> =
        std::str::from_utf8(&run.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(lines[0]["damage"]["problem"].as_str().unwrap().contains(id), "{lines:?}");
    let oldest = &bench.ids()[0];
    assert!(
        lines.iter().any(|line| line["damage"]["point"] == **oldest
            && line["damage"]["offset"].is_u64()
            && line["damage"]["length_bytes"].is_u64()),
        "{lines:?}"
    );
    let run = bench.run(&["verify", &bench.url(), "--read-data"]);
    assert!(String::from_utf8_lossy(&run.stdout).contains("of the device: may be damaged"), "{run:?}");
    assert!(run.stderr.contains("damages in 3 points"), "{}", run.stderr);

    // Who mounts it gets an error where it is damaged, and the rest.
    let device = devices(&opened(&bench).repository.get_all_snapshots().unwrap()).remove(0);
    let mut files = Files::new(&archive(&bench), "repository", device.points, true);
    let (mut bad, mut good) = (0, 0);
    for offset in (0..images[0].len() as u64).step_by(1 << 19) {
        let mut bytes = Vec::new();
        match files.read_to(1, offset, 1 << 19, &mut |read| bytes.extend_from_slice(read)) {
            Ok(()) => {
                good += 1;
                assert!(bytes == images[0][offset as usize..][..bytes.len()], "{offset}");
            }
            Err(e) => {
                bad += 1;
                assert!(e.to_string().contains("repository: point "), "{e}");
            }
        }
        files.read_ahead(1, offset, 1 << 19);
    }
    assert_eq!((bad, good), (1, 160));
}

#[test]
fn what_is_missing_is_found_without_reading_data() {
    let bench = Bench::new();
    three_points(&bench);
    let pack = packs(&bench).remove(0);
    fs::remove_file(&pack).unwrap();
    let run = bench.run(&["verify", &bench.url()]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(said.contains(&pack.file_name().unwrap().to_str().unwrap()[..8]), "{said}");
    assert_eq!(bench.run(&["restore", &format!("{}@latest~2", bench.url()), &bench.path("x")]).code, Some(2));
}
