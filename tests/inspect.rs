// SPDX-License-Identifier: GPL-3.0-or-later
//! `era inspect`, and the manners that all commands share.

#[path = "common/program.rs"]
mod program;
#[path = "common/stream_builder.rs"]
mod stream_builder;

use program::{data, run};
use stream_builder::{sound, stream};

#[test]
fn it_says_what_a_stream_holds() {
    let bytes = stream(&sound());
    let out = run("era", &["inspect", "-"], &bytes);
    let text = out.text();
    for line in
        ["format:       version 2", "kind:         increment", "device size:  1.0 MiB", "complete:     yes"]
    {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    let out = run("era", &["inspect", "--json", "-"], &bytes);
    let json: serde_json::Value = serde_json::from_str(out.text()).unwrap();
    let expected = serde_json::json!({
        "version": 2, "complete": true, "records": 3, "data_bytes": 612, "zero_bytes": 4096,
        "stream_bytes": bytes.len(), "kind": "increment", "consistency": "unknown", "time": "1970-01-01T00:00:00Z",
        "device": null, "generation": null, "device_bytes": 1 << 20, "block_size_bytes": 4096,
        "since_era": null, "next_since_era": null, "next_cursor": null, "passes": null, "freeze_nanoseconds": null,
    });
    assert_eq!(json, expected);
}

#[test]
fn version_1_has_little_to_say() {
    let out = run("era", &["inspect", "--json", "-"], &data("classic.era"));
    let json: serde_json::Value = serde_json::from_str(out.text()).unwrap();
    let expected = serde_json::json!({
        "version": 1, "complete": false, "records": 2, "data_bytes": 5096, "zero_bytes": 0, "stream_bytes": 5144,
    });
    assert_eq!(json, expected);
    assert!(run("era", &["inspect", "-"], &data("classic.era")).text().contains("there is no end marker"));
}

#[test]
fn damage_is_found_and_named() {
    let mut bytes = stream(&sound());
    let at = bytes.len() - 1;
    bytes[at] ^= 1;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let path = file.path().to_str().unwrap();
    let out = run("era", &["inspect", path], b"");
    out.expect_error("checksum");
    assert!(out.stderr.starts_with(&format!("era: {path}: stream, byte ")), "{}", out.stderr);
    run("era", &["inspect", "/nonexistent"], b"")
        .expect_error("era: /nonexistent: cannot open: No such file");
}

#[test]
fn every_command_has_help_with_examples() {
    for name in ["era", "era_copy", "era_apply"] {
        assert!(run(name, &["--help"], b"").text().contains("Examples:"), "{name}");
        let version = format!(" {}\n", env!("CARGO_PKG_VERSION"));
        assert!(run(name, &["--version"], b"").text().ends_with(&version), "{name}");
    }
    for command in [
        "create", "open", "close", "remove", "status", "send", "changed", "copy", "apply", "inspect",
        "backup", "hashes", "receive", "points", "restore", "mount", "verify", "prune", "restrict",
    ] {
        let out = run("era", &[command, "--help"], b"");
        assert!(out.text().contains("Examples:") && out.text().contains("Usage: era "), "{command}");
        assert!(out.text().lines().all(|line| line.chars().count() <= 100), "{command}");
    }
}

#[test]
fn wrong_usage_is_an_error() {
    for args in [&[][..], &["no-such-command"], &["inspect"], &["inspect", "--no-such-option", "-"]] {
        run("era", args, b"").expect_error("");
    }
}
