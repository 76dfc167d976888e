// SPDX-License-Identifier: GPL-3.0-or-later
//! Repositories that restic has worked on are read, and go on.

use crate::bench::Bench;
use crate::restoring::three_points;

#[test]
fn tagged_and_forgotten() {
    let bench = Bench::new();
    let images = three_points(&bench);
    let ids = bench.ids();
    // A tag makes a snapshot with another id.
    bench.output(&["tag", "--add", "important", &ids[0]]);
    let now = bench.ids();
    assert!(now.len() == 3 && now[0] != ids[0] && now[1..] == ids[1..], "{now:?}");
    bench.output(&["forget", "--prune", &now[1]]);
    assert_eq!(bench.ids(), [now[0].clone(), now[2].clone()]);
    assert!(bench.restored(&now[0]) == images[0]);
    assert!(bench.restored("latest") == images[2]);
    assert_eq!(bench.run(&["verify", &bench.url(), "--read-data"]).code, Some(0));
}

#[test]
fn copied() {
    let (bench, copy) = (Bench::new(), Bench::new());
    let images = three_points(&bench);
    let from = bench.repository();
    let from = from.to_str().unwrap();
    copy.output(&["init", "--from-repo", from, "--copy-chunker-params"]);
    copy.output(&["copy", "--from-repo", from]);
    let ids = copy.ids();
    assert_eq!(ids.len(), 3);
    for (id, image) in ids.iter().zip(&images) {
        assert!(copy.restored(id) == *image, "{id}");
    }
    assert_eq!(copy.points()[0]["cursor"], bench.points()[0]["cursor"]);
    assert_eq!(copy.run(&["verify", &copy.url(), "--read-data"]).code, Some(0));
    // It goes on from there.
    copy.ok(&["prune", &copy.url(), "--keep-last", "1"]);
    assert!(copy.restored("latest") == images[2]);
}
