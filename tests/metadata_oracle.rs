// SPDX-License-Identifier: GPL-3.0-or-later
//! `era changed` against two oracles: era_invalidate of Debian's thin-provisioning-tools, and a plain model.
//! The metadata come from era_restore and from a writer of our own, which era_dump reads back.
#![allow(missing_docs)] // a test target has no users

#[path = "common/era_changed.rs"]
mod era_changed;
#[path = "common/metadata_builder.rs"]
mod metadata_builder;
#[path = "common/oracle_program.rs"]
mod oracle_program;
#[path = "common/snapshot.rs"]
mod snapshot_files;
#[path = "common/tmux.rs"]
mod tmux;

#[path = "metadata_oracle/array_left_out.rs"]
mod array_left_out;
#[path = "metadata_oracle/dropped_snapshot.rs"]
mod dropped_snapshot;
#[path = "metadata_oracle/formats.rs"]
mod formats;
#[path = "metadata_oracle/generated.rs"]
mod generated;
#[path = "metadata_oracle/kernel_habits.rs"]
mod kernel_habits;
#[path = "metadata_oracle/large.rs"]
mod large;
#[path = "metadata_oracle/map.rs"]
mod map;
#[path = "metadata_oracle/requests.rs"]
mod requests;
#[path = "metadata_oracle/shapes.rs"]
mod shapes;
#[path = "metadata_oracle/snapshot.rs"]
mod snapshot;

use era_changed::{Runs, era_changed, parse_runs, parse_xml};
use metadata_builder::Description;
use metadata_builder::image::Image;
use std::path::Path;
use std::process::Command;
use tempfile::NamedTempFile;

fn tools_available() -> bool {
    oracle_program::available("era_invalidate", "thin-provisioning-tools")
}

fn tool(program: &str, args: &[&str], image: &Path) -> String {
    let output = Command::new(program).args(args).arg(image).output().expect("the program starts");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What era_invalidate 0.9 says. It leaves out the current writeset, and reads the live superblock even when asked
/// for the metadata snapshot.
fn era_invalidate(image: &Path, since: u32) -> Runs {
    parse_xml(&tool("era_invalidate", &["--written-since", &since.to_string()], image))
}

/// What `era changed` says.
fn our_runs(image: &Path, since: u32, more: &[&str]) -> Runs {
    parse_runs(&era_changed(image, since, more).success()).expect("a well-formed list")
}

/// An image that era_restore made from a description's XML.
fn restore(what: &Description) -> NamedTempFile {
    let xml = NamedTempFile::new().expect("a temporary file");
    std::fs::write(xml.path(), what.to_xml()).expect("the XML is written");
    let image = NamedTempFile::new().expect("a temporary file");
    image.as_file().set_len(16 << 20).expect("room for the metadata");
    let xml_path = xml.path().to_str().expect("a UTF-8 path");
    tool("era_restore", &["--quiet", "-i", xml_path, "-o"], image.path());
    image
}

#[test]
fn every_shape_agrees_with_the_model() {
    for (name, what) in shapes::all() {
        let image = Image::build(&what);
        for since in what.interesting_eras(&what.live) {
            let expected = what.runs(|block| what.live.changed_since(block, since));
            let printed = era_changed(image.path(), since, &["--format", "xml"]).success();
            assert_eq!(printed, era_changed::to_xml(&expected), "{name}, since {since}");
        }
    }
}

#[test]
fn era_dump_finds_in_our_images_what_was_asked() {
    if !tools_available() {
        return;
    }
    for (name, what) in shapes::all() {
        let image = Image::build(&what);
        // Not assert_eq: the text has megabytes.
        assert!(tool("era_dump", &[], image.path()) == what.to_xml(), "{name}");
    }
}

#[test]
fn every_shape_agrees_with_era_invalidate() {
    if !tools_available() {
        return;
    }
    for (name, mut what) in shapes::all() {
        what.live.current = None; // era_invalidate would leave it out
        let built = Image::build(&what);
        let restored = restore(&what);
        for since in what.interesting_eras(&what.live) {
            let expected = what.runs(|block| what.live.archived_since(block, since));
            for image in [built.path(), restored.path()] {
                assert_eq!(era_invalidate(image, since), expected, "oracles differ: {name}, since {since}");
                assert_eq!(our_runs(image, since, &[]), expected, "{name}, since {since}");
            }
        }
    }
}
