// SPDX-License-Identifier: GPL-3.0-or-later
//! The era array is read only where eras that were asked for may have been digested: what is not read may be damaged, and
//! what is needed may not.

use super::our_runs;
use super::shapes::mixed;
use crate::era_changed::era_changed;
use crate::metadata_builder::blocks::superblock;
use crate::metadata_builder::image::Image;
use crate::metadata_builder::{Description, Eras, Writeset};

fn without_array(what: &Description) -> Image {
    let image = Image::build(what);
    image.damage(image.root(superblock::ERA_ARRAY_ROOT), |block| block.fill(0xa5));
    image
}

/// Era 6 is half digested, eras 4 and 9 have left no writeset, era 11 is in progress.
fn some_archived() -> Description {
    let mut what = mixed(3000);
    what.live.current_era = 11;
    what.live.archived.clear();
    for era in [6, 7, 8, 10] {
        what.live.archived.insert(era, Writeset::new(3000, (0..3000).filter(|b| b % era == 1)));
    }
    what.live.eras = Eras::new(|block| match block {
        0..1000 if block % 6 == 1 => 6,
        _ => [0, 3, 5][usize::try_from(block % 3).expect("below 3")],
    });
    what
}

#[test]
fn archived_writesets_alone_answer_from_the_oldest_on() {
    let what = some_archived();
    let image = without_array(&what);
    for since in 6..=11 {
        let expected = what.runs(|block| what.live.changed_since(block, since));
        assert_eq!(our_runs(image.path(), since, &[]), expected, "since {since}");
    }
    // As a suspended device is left: the current era archived, too.
    let mut suspended = what.clone();
    suspended.live.archived.extend(suspended.live.current.take().map(|current| (11, current)));
    let closed = without_array(&suspended);
    for since in 6..=11 {
        let expected = what.runs(|block| what.live.changed_since(block, since));
        assert_eq!(our_runs(closed.path(), since, &[]), expected, "suspended, since {since}");
    }
    for since in 0..6 {
        let answer = era_changed(image.path(), since, &[]);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""), "since {since}");
        assert!(answer.stderr.contains("checksum"), "{}", answer.stderr);
    }
}

#[test]
fn without_archived_writesets_the_array_is_needed() {
    let mut what = some_archived();
    what.live.archived.clear();
    let image = without_array(&what);
    for since in 0..=11 {
        assert_eq!(era_changed(image.path(), since, &[]).code, Some(2), "since {since}");
    }
}

/// An era is archived when it ends. If one has not begun, this is not what the kernel does, and its order cannot be
/// relied on.
#[test]
fn archived_eras_above_the_current_one_are_not_relied_on() {
    let mut what = some_archived();
    what.live.archived.insert(12, Writeset::new(3000, [5]));
    let image = without_array(&what);
    for since in 0..=11 {
        assert_eq!(era_changed(image.path(), since, &[]).code, Some(2), "since {since}");
    }
}
