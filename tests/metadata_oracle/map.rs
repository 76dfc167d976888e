// SPDX-License-Identifier: GPL-3.0-or-later
//! `era changed --map`: what is drawn, as files; that the numbers are a plain model's; that it fits a real terminal.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::era_changed::{Answer, era_changed};
use crate::metadata_builder::image::Image;
use crate::metadata_builder::{Description, Eras, State, Writeset};
use crate::oracle_program::available;
use crate::snapshot_files::assert_snapshot;
use crate::tmux::screen;

/// A server's disk: filled once, a database in the middle that is always written, a log that grows.
fn server() -> Description {
    let nr_blocks = 1536;
    let mut what = Description::clean(nr_blocks, 320);
    what.live.eras = Eras::new(|block| match block {
        0..10 => 316,
        10..500 => 3,
        500..600 => 200 + block as u32 % 100,
        600..800 => 60 + (block as u32 - 600) / 2,
        _ => 0,
    });
    what.live.archived.insert(318, Writeset::new(nr_blocks, 520..540));
    what.live.archived.insert(319, Writeset::new(nr_blocks, 510..530));
    what.live.current = Some(Writeset::new(nr_blocks, [0, 700]));
    what
}

/// Draws under a name that does not change, with more arguments after --map.
fn draw(image: &Image, name: &str, more: &[&str]) -> String {
    let directory = tempfile::tempdir().expect("a temporary directory");
    symlink(image.path(), directory.path().join(name)).expect("a link");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_era"));
    command.current_dir(directory.path()).env_remove("NO_COLOR").env_remove("COLUMNS");
    let output = command.args(["changed", "--map", "--metadata", name]).args(more).output();
    Answer::from(output.expect("the program starts")).success()
}

#[track_caller]
fn assert_fits(text: &str, columns: usize) {
    assert!(text.lines().all(|line| line.chars().count() <= columns), "{text}");
}

/// The text without the codes that colour it.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|part| part.split_once('m').expect("a code for colours").1);
    [first].into_iter().chain(rest).collect()
}

#[test]
fn a_servers_disk() {
    let image = Image::build(&server());
    let plain = draw(&image, "meta.img", &[]);
    assert_snapshot("map.txt", &plain);
    assert_fits(&plain, 80);
    let coloured = draw(&image, "meta.img", &["--color", "always"]);
    assert_snapshot("map-coloured.txt", &coloured);
    assert_eq!(without_colours(&coloured), plain);
    assert_snapshot("map-since.txt", &draw(&image, "meta.img", &["--since", "200"]));
}

#[test]
fn the_smallest_and_the_oldest() {
    let mut what = Description::clean(3, 5);
    what.live.current = Some(Writeset::new(3, [1]));
    assert_snapshot("map-3-blocks.txt", &draw(&Image::build(&what), "meta.img", &[]));
    // The last of all eras, sizes without end, and entries that cannot be: of an era to come, beyond the device.
    let mut what = Description::clean(40, u32::MAX - 1);
    what.block_size_sectors = 1 << 31;
    what.live.eras = Eras::new(|block| u32::MAX - (1 << (block % 32)) + 1);
    what.live.archived.insert(u32::MAX, Writeset::new(128, [39, 64, 127]));
    let text = draw(&Image::build(&what), "meta.img", &[]);
    assert_snapshot("map-extremes.txt", &text);
    assert_fits(&text, 80);
}

#[test]
fn names_of_files_are_shortened_and_cannot_write_on_the_screen() {
    let image = Image::build(&Description::clean(1, 1));
    let long = "\u{6f22}\u{5b57}".repeat(40);
    assert_snapshot("map-wide-name.txt", &draw(&image, &long, &[]));
    let text = draw(&image, "bad\x1b[2J\u{202e}\nname", &[]);
    assert!(text.starts_with("bad\u{fffd}[2J\u{fffd}\u{fffd}name: "), "{text}");
}

#[test]
fn of_a_snapshot_the_newest_era_is_the_one_before_its_own() {
    let mut state = State::clean(10);
    state.archived.insert(9, Writeset::new(64, [3]));
    // Must not be read.
    state.current = Some(Writeset::new(64, [5]));
    let what = Description { live: state.clone(), snapshot: Some(state), ..Description::clean(64, 10) };
    let text = draw(&Image::build(&what), "meta.img", &["--metadata-snapshot", "--since", "9"]);
    assert!(text.contains("newest era 9") && text.contains("...#......"), "{text}");
    assert!(text.contains("not since era 9                          63 blocks"), "{text}");
}

/// What the legend says of each character, and the picture.
fn read_map(text: &str) -> (BTreeMap<char, u64>, String) {
    let parts: Vec<&str> = text.split("\n\n").collect();
    let [_, picture, legend] = parts[..] else { panic!("three parts: {text}") };
    let counts = legend.lines().map(|line| {
        let (head, _) = line.split_once(" blocks").expect("a number of blocks");
        let number = head.split_whitespace().next_back().and_then(|n| n.parse().ok()).expect("a number");
        (line.trim_start().chars().next().expect("a character"), number)
    });
    // Sizes have two words.
    let rows = picture.lines().map(|line| line.split_whitespace().nth(2).expect("a row"));
    (counts.collect(), rows.collect())
}

/// The character of an era, the plain way.
fn character(what: &Description, block: u32) -> char {
    let state = &what.live;
    let now = state.current.iter().filter(|w| w.contains(block)).map(|_| state.current_era);
    let archived = state.archived.iter().filter(|(_, w)| w.contains(block)).map(|(era, _)| *era);
    let newest = now.chain(archived).chain([state.eras.of(block.into())]).max().unwrap_or(0);
    match state.current_era - newest {
        _ if newest == 0 => '.',
        0 => '#',
        1..=3 => '%',
        4..=15 => '*',
        16..=63 => '+',
        64..=255 => '=',
        _ => '-',
    }
}

/// The largest that the tests of lists have; the limit on memory holds here, too.
#[test]
fn numbers_and_picture_are_the_models() {
    let nr_blocks = 3_000_001;
    let mut what = Description::clean(nr_blocks, 1000);
    what.live.eras = Eras::new(|block| match block.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44 {
        hash if hash < 1 << 10 => hash as u32 % 991,
        _ if block < 1 << 20 => 600,
        _ => 0,
    });
    for era in 991..1000 {
        let blocks = (0..nr_blocks).skip(era as usize * 1000).step_by(99_991);
        what.live.archived.insert(era, Writeset::new(nr_blocks, blocks));
    }
    // Not digested for a long time.
    what.live.archived.insert(600, Writeset::new(nr_blocks, 1 << 20..1 << 21));
    what.live.current = Some(Writeset::new(nr_blocks, (0..nr_blocks).step_by(777_777)));
    let (counts, picture) = read_map(&era_changed_map(Image::build(&what).path()));

    let order = "#%*+=-.";
    let per_cell = 4096;
    let mut expected: BTreeMap<char, u64> = order.chars().map(|c| (c, 0)).collect();
    let mut cells = vec!['.'; nr_blocks.div_ceil(per_cell) as usize];
    for block in 0..nr_blocks {
        let c = character(&what, block);
        *expected.entry(c).or_default() += 1;
        let cell = &mut cells[(block / per_cell) as usize];
        if order.find(c) < order.find(*cell) {
            *cell = c;
        }
    }
    assert_eq!(counts, expected);
    assert_eq!(picture, cells.into_iter().collect::<String>());
}

fn era_changed_map(image: &Path) -> String {
    era_changed(image, 0, &["--map"]).success()
}

#[test]
fn it_fits_a_real_terminal() {
    if !available("tmux", "tmux") {
        return;
    }
    let image = Image::build(&server());
    let directory = tempfile::tempdir().expect("a temporary directory");
    let name = directory.path().join("\u{6f22}\u{5b57}".repeat(30));
    fs::copy(image.path(), &name).expect("a copy");
    let era = format!("'{}' changed --map --metadata '{}'", env!("CARGO_BIN_EXE_era"), name.display());
    let drawn = screen(80, 24, &era);
    drawn.assert_nothing_wraps();
    // Prompt included, nothing has gone off the screen.
    assert!(drawn.text.lines().count() < 24, "{}", drawn.text);
    assert!(drawn.coloured.contains("\x1b["), "{}", drawn.coloured);
    let wide = screen(200, 50, &era);
    wide.assert_nothing_wraps();
    assert!(wide.text.lines().any(|line| line.chars().count() > 130), "{}", wide.text);
    screen(40, 24, &era).assert_nothing_wraps();
    for no_colours in
        [format!("NO_COLOR=1 {era}"), format!("TERM=dumb {era}"), format!("{era} --color never")]
    {
        let drawn = screen(80, 24, &no_colours);
        assert!(!drawn.coloured.contains('\x1b'), "{no_colours}: {}", drawn.coloured);
    }
    assert!(screen(80, 24, &format!("NO_COLOR=1 {era} --color always")).coloured.contains("\x1b["));
}
