// SPDX-License-Identifier: GPL-3.0-or-later
//! The three formats say the same, each in its own exact form.

use super::shapes::mixed;
use crate::era_changed::{era_changed, to_xml};
use crate::metadata_builder::Description;
use crate::metadata_builder::image::Image;
use serde_json::{Value, json};

#[test]
fn runs_are_lines_of_begin_and_end() {
    let what = mixed(200);
    let image = Image::build(&what);
    let runs = what.runs(|block| what.live.changed_since(block, 9));
    let expected: String = runs.iter().map(|(begin, end)| format!("{begin} {end}\n")).collect();
    assert_eq!(era_changed(image.path(), 9, &["--format", "runs"]).success(), expected);
    assert_eq!(era_changed(image.path(), 9, &[]).success(), expected, "runs are the default");
}

#[test]
fn xml_is_that_of_era_invalidate_1() {
    let what = mixed(200);
    let image = Image::build(&what);
    let runs = what.runs(|block| what.live.changed_since(block, 9));
    assert_eq!(era_changed(image.path(), 9, &["--format", "xml"]).success(), to_xml(&runs));
}

#[test]
fn json_has_units_in_its_keys() {
    let what = Description { block_size_sectors: 48, ..mixed(200) };
    let image = Image::build(&what);
    let runs = what.runs(|block| what.live.changed_since(block, 9));
    let changed: u64 = runs.iter().map(|(begin, end)| end - begin).sum();
    let printed = era_changed(image.path(), 9, &["--format", "json"]).success();
    let printed: Value = serde_json::from_str(&printed).expect("one JSON object");
    let expected = json!({
        "block_size_bytes": 24_576,
        "blocks": 200,
        "current_era": 12,
        "since_era": 9,
        "changed_blocks": changed,
        "changed_bytes": changed * 24_576,
        "next_since_era": 12,
        "runs": runs,
    });
    assert_eq!(printed, expected);
}

#[test]
fn the_total_is_a_line_for_people() {
    let what = mixed(200);
    let image = Image::build(&what);
    let runs = what.runs(|block| what.live.changed_since(block, 9));
    let changed: u64 = runs.iter().map(|(begin, end)| end - begin).sum();
    let bytes = changed * u64::from(what.block_size_sectors) * 512;
    let expected =
        format!("{changed} of 200 blocks, {bytes} bytes, written since era 9; next time ask for era 12\n");
    assert_eq!(era_changed(image.path(), 9, &["--total"]).success(), expected);
}

#[test]
fn nothing_changed_is_an_empty_list() {
    let image = Image::build(&Description::clean(200, 9));
    assert_eq!(era_changed(image.path(), 1, &[]).success(), "");
    assert_eq!(era_changed(image.path(), 1, &["--format", "xml"]).success(), "<blocks>\n</blocks>\n");
}
