// SPDX-License-Identifier: GPL-3.0-or-later
//! A snapshot that somebody else drops, or takes anew, while it is read. Its blocks are then reused, by blocks
//! that pass every check, and a list made from both would miss some. So the change is put before each read in turn.

use crate::era_changed::Runs;
use crate::metadata_builder::blocks::BLOCK_SIZE;
use crate::metadata_builder::image::Image;
use crate::metadata_builder::layout::Part;
use crate::metadata_builder::{Description, Eras, State, Writeset};
use era::blockio::ReadAt;
use era::metadata::{ChangedError, Problem, View, changed_since};
use era::units::Era;
use std::cell::Cell;
use std::io;

const NR_BLOCKS: u32 = 90_000;
const SINCE: u32 = 5;

/// Holds one image, and after some reads another.
struct Changing<'a> {
    before: &'a Image,
    after: &'a Image,
    reads_left: Cell<u64>,
}

impl ReadAt for Changing<'_> {
    fn size(&self) -> u64 {
        self.before.nr_blocks().max(self.after.nr_blocks()) * BLOCK_SIZE as u64
    }

    fn align(&self) -> usize {
        1
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        assert_eq!((buf.len() % BLOCK_SIZE, offset % BLOCK_SIZE as u64), (0, 0), "reads are whole blocks");
        // One at a time, however many are asked for, so that the change can come before each.
        let buf = &mut buf[..BLOCK_SIZE];
        let image = if self.reads_left.get() == 0 { self.after } else { self.before };
        self.reads_left.set(self.reads_left.get().saturating_sub(1));
        let block = offset / BLOCK_SIZE as u64;
        if block < image.nr_blocks() {
            buf.copy_from_slice(&image.read(block)[..]);
        } else {
            buf.fill(0); // the shorter image's device is as long as the other's
        }
        Ok(buf.len())
    }
}

fn description(live_era: u32, snapshot: Option<State>) -> Description {
    let mut live = State::clean(live_era);
    live.archived.insert(live_era - 1, Writeset::new(NR_BLOCKS, (0..NR_BLOCKS).step_by(7)));
    Description { live, snapshot, ..Description::clean(NR_BLOCKS, live_era) }
}

/// Two small writesets: their bitsets take two blocks each.
fn first_snapshot() -> State {
    let mut state = State::clean(9);
    state.eras = Eras::new(|block| if block % 5 == 0 { 6 } else { 0 });
    state.archived.insert(7, Writeset::new(9000, [2, 8999]));
    state.archived.insert(8, Writeset::new(9000, [3]));
    state
}

/// One writeset whose bitset takes four: other blocks in other places, but the superblock is in the same.
fn second_snapshot() -> State {
    let mut state = State::clean(11);
    state.eras = Eras::new(|block| if block % 5 == 1 { 6 } else { 0 });
    state.archived.insert(10, Writeset::new(NR_BLOCKS, [4, 80_000]));
    state
}

fn expected(what: &Description) -> Runs {
    let state = what.snapshot.as_ref().expect("there is one");
    what.runs(|block| state.archived_since(block, SINCE))
}

fn read_while_changing(before: &Image, after: &Image, reads: u64) -> (Result<Runs, ChangedError>, bool) {
    let device = Changing { before, after, reads_left: Cell::new(reads) };
    let answer = changed_since(&device, View::Snapshot, Era(SINCE))
        .map(|changed| changed.blocks.runs().map(|run| (run.begin, run.end)).collect());
    (answer, device.reads_left.get() == 0)
}

/// Checks the answers for a change before each of the reads, from the first on to one that never comes.
fn check_all(before: &Image, after: &Image, right: impl Fn(&Result<Runs, ChangedError>) -> bool) {
    let mut reads = 0;
    loop {
        let (answer, changed) = read_while_changing(before, after, reads);
        assert!(right(&answer), "changed after {reads} reads: {:?}", answer.map(|runs| runs.len()));
        if !changed {
            break;
        }
        reads += 1;
    }
    assert!(reads > 90, "the array alone has 89 blocks");
}

fn is_replaced(answer: &Result<Runs, ChangedError>) -> bool {
    matches!(answer, Err(ChangedError::Metadata(e)) if matches!(e.problem, Problem::SnapshotReplaced))
}

fn is_missing(answer: &Result<Runs, ChangedError>) -> bool {
    matches!(answer, Err(ChangedError::Metadata(e)) if matches!(e.problem, Problem::NoSnapshot))
}

#[test]
fn a_snapshot_dropped_meanwhile_is_noticed() {
    let what = description(10, Some(first_snapshot()));
    let expected = expected(&what);
    let after = Image::build(&description(12, None));
    check_all(&Image::build(&what), &after, |answer| match answer {
        Ok(runs) => *runs == expected,
        _ => is_replaced(answer) || is_missing(answer),
    });
}

#[test]
fn a_snapshot_taken_anew_meanwhile_is_noticed() {
    let first = description(10, Some(first_snapshot()));
    let second = description(12, Some(second_snapshot()));
    let lists = [expected(&first), expected(&second)];
    let [before, after] = [&first, &second].map(Image::build);
    let [at, then_at] = [&before, &after].map(|image| image.layout.first(Part::SnapshotSuperblock));
    assert_eq!(at, then_at, "both snapshots are held in the same block");
    check_all(&before, &after, |answer| match answer {
        Ok(runs) => lists.contains(runs),
        _ => is_replaced(answer),
    });
}

/// What the live device does meanwhile is of no concern.
#[test]
fn commits_of_the_live_device_do_not_matter() {
    let before = description(10, Some(first_snapshot()));
    let after = description(13, Some(first_snapshot()));
    let expected = expected(&before);
    check_all(&Image::build(&before), &Image::build(&after), |answer| {
        answer.as_ref().is_ok_and(|runs| *runs == expected)
    });
}
