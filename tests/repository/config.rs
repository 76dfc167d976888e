// SPDX-License-Identifier: GPL-3.0-or-later
//! `era backup --config`: what a file says is done, what is wrong with it is said before anything is done, and what goes
//! around a backup, hooks, old points and metrics, is right in the end whatever came of the backup.

use std::collections::BTreeMap;
use std::fs;

use era::stream::Audit;
use rustix::fs::{FlockOperation, flock};

use crate::backup::{Other, succeeded};
use crate::bench::{Bench, Device};
use crate::program::Run;

/// A bench with a configuration for it.
struct Night {
    bench: Bench,
    device: Device,
    other: Other,
}

impl Night {
    fn new() -> Self {
        let mut night = Self { bench: Bench::new(), device: Device::new(200_000), other: Other::new() };
        night.device.write_some(20);
        let full = night.device.full();
        night.other.sends(&full, "echo send >>order");
        night
    }

    /// What the next run is sent.
    fn more(&mut self) {
        self.device.write_some(5);
        let increment = self.device.increment();
        self.other.sends(&increment, "echo send >>order");
    }

    /// A configuration with `rest` in it, which has `REPO` and `DIR` for places.
    fn write(&self, rest: &str) {
        let dir = self.other.path("").display().to_string();
        let text = format!(
            "source = \"me@vm1:root\"\nrepository = \"REPO\"\nrsh = \"DIR/rsh\"\nremote_era = \"DIR/era\"\n{rest}"
        );
        let text = text.replace("REPO", self.bench.path().to_str().unwrap());
        fs::write(self.file(), text.replace("DIR", dir.trim_end_matches('/'))).unwrap();
    }

    fn file(&self) -> String {
        self.other.path("vol.toml").to_str().unwrap().to_owned()
    }

    fn backup(&self, options: &[&str]) -> Run {
        let file = self.file();
        let args = [&["backup", "--config", &file], options].concat();
        self.bench.run(&args, b"", None)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.other.path(name)).unwrap_or_default()
    }
}

#[track_caller]
fn last_line(out: &Run, says: &str) {
    assert_eq!(out.code, Some(2), "{}", out.stderr);
    let last = out.stderr.lines().last().unwrap_or_default();
    assert!(last.contains(says), "{says:?} is not in {last:?}");
}

#[test]
fn what_the_file_says_is_done() {
    let mut night = Night::new();
    night.write("consistency = \"freeze\"\nmax_passes = 3\ncompress = 5\n[retention]\nkeep_last = 2\n");
    for _ in 0..2 {
        succeeded(&night.backup(&[]));
        night.more();
    }
    let out = night.backup(&["--json"]);
    succeeded(&out);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&json["points"], &json["removed_points"]), (&2.into(), &1.into()));
    assert_eq!(
        json["changed_units"].as_u64(),
        json["point"]["changed_bytes"].as_u64().map(|n| n.div_ceil(4096))
    );
    assert_eq!(night.bench.ids(), [2, 3]);
    assert_eq!(
        night.other.asked()[0],
        "send root --no-cursor --freeze-timeout 30000ms --max-passes 3 --consistency freeze --compress 5"
    );
    succeeded(&night.bench.run(&["verify", "REPO"], b"", None));
}

#[test]
fn the_command_line_is_stronger() {
    let night = Night::new();
    night.write("consistency = \"freeze\"\nmax_passes = 3\ncompress = 5\nfreeze_timeout = \"1s\"\n");
    let other = night.other.path("elsewhere");
    let args = ["--compress", "none", "--max-passes", "7", "me@vm2:data", other.to_str().unwrap()];
    succeeded(&night.backup(&args));
    assert_eq!(
        night.other.asked(),
        ["send data --no-cursor --freeze-timeout 1000ms --max-passes 7 --consistency freeze"]
    );
    assert_eq!(night.read("hosts"), "me@vm2\n");
    assert!(!night.bench.path().exists() && other.join("image").exists());
}

#[test]
fn bad_files_are_refused_before_anything_is_done() {
    let night = Night::new();
    let file = night.file();
    let refused = |text: &str, says: &str| {
        fs::write(&file, text).unwrap();
        let out = night.backup(&[]);
        out.expect_error("");
        assert_eq!(out.stderr, format!("era: {file}: {says}\n"));
        assert!(night.other.asked().is_empty() && !night.bench.path().exists());
    };
    let repo = "repository = \"/srv/vol\"\n";
    refused(repo, "has no source; add a line such as source = \"root@vm1:vol\"");
    refused("source = \"vol\"", "has no repository; add a line such as repository = \"/srv/backups/vol\"");
    refused(
        "[hooks]\nbefor_cut = \"x\"",
        "line 2: befor_cut = \"x\": unknown field `befor_cut`, expected one of `before_cut`, `after_cut`, `time_limit`",
    );
    refused("max_passes = \"3\"", "line 1: max_passes = \"3\": invalid type: string \"3\", expected u32");
    refused(
        &format!("{repo}[retention]\nkeep_last = 0\n"),
        "line 2: [retention]: nothing says what to keep: set keep_last, keep_daily or another of these",
    );
    refused(
        "repository = \"srv\"",
        "line 1: repository = \"srv\": \"srv\" is relative to what? Write the whole path, from / on",
    );
    fs::remove_file(&file).unwrap();
    let out = night.backup(&[]);
    let says = "there is no such file; a path to another one has a slash in it, such as ./NAME.toml";
    assert_eq!((out.code, out.stderr), (Some(2), format!("era: {file}: {says}\n")));
    fs::create_dir(&file).unwrap();
    let out = night.backup(&[]);
    assert_eq!(out.stderr, format!("era: {file}: cannot read: Is a directory (os error 21)\n"));
    let out = night.bench.run(&["backup", "--config", "no-such"], b"", None);
    out.expect_error("era: /etc/era/backup/no-such.toml: there is no such file");
    // Without a configuration both places are needed.
    night.bench.run(&["backup", "vol"], b"", None).expect_error("<REPO>");
}

#[test]
fn what_cannot_be_done_in_the_end_is_not_begun() {
    let night = Night::new();
    night.write("[retention]\nkeep_last = 1\n[hooks]\nbefore_cut = \"echo before >>DIR/order\"\n");
    night.backup(&["vol", "store:/srv/vol"]).expect_error(
        "store:/srv/vol: is on another machine, where old points cannot be taken away from here; take [retention] out of \
         the configuration, and run era prune /srv/vol on store\n",
    );
    night.backup(&["--metrics", "/no/such/era.prom"]).expect_error("/no/such: there is no such directory");
    assert!(night.read("order").is_empty() && night.other.asked().is_empty());
}

#[test]
fn hooks_are_run_before_and_after() {
    let night = Night::new();
    let hooks = "[hooks]\nbefore_cut = \"echo $ERA_HOOK $ERA_SOURCE ${ERA_RESULT-unset} >>DIR/order\"\n\
                 after_cut = \"echo $ERA_HOOK $ERA_RESULT ${ERA_POINT-none} $ERA_ERROR >>DIR/order; echo out\"\n";
    night.write(hooks);
    let out = night.backup(&["--json"]);
    succeeded(&out);
    assert!(out.stderr.contains("out\n") && serde_json::from_slice::<serde_json::Value>(&out.stdout).is_ok());
    assert_eq!(night.read("order"), "before_cut me@vm1:root unset\nsend\nafter_cut success 1\n");
    night.other.sends(b"", "echo 'era: root: no such device' >&2; exit 2");
    fs::remove_file(night.other.path("order")).unwrap();
    last_line(
        &night.backup(&[]),
        "era: backup of me@vm1:root: era send on me@vm1: failed with status 2: era: root: no such device",
    );
    assert_eq!(
        night.read("order"),
        "before_cut me@vm1:root unset\nafter_cut failure none era send on me@vm1: failed with status 2: era: root: no \
         such device\n"
    );
}

#[test]
fn hooks_that_fail_or_take_too_long() {
    let night = Night::new();
    let after = "after_cut = \"echo after $ERA_RESULT >>DIR/order\"\n";
    night.write(&format!("[hooks]\nbefore_cut = \"exit 3\"\n{after}"));
    last_line(&night.backup(&[]), "backup of me@vm1:root: before_cut (exit 3): failed with status 3");
    night.write(&format!("[hooks]\nbefore_cut = \"sleep 1000\"\ntime_limit = \"50ms\"\n{after}"));
    last_line(
        &night.backup(&[]),
        "before_cut (sleep 1000): ended, as it took longer than 50ms; see time_limit",
    );
    assert_eq!(night.read("order"), "after failure\nafter failure\n");
    assert!(night.other.asked().is_empty() && !night.bench.path().exists());
    night.write("[retention]\nkeep_last = 1\n[hooks]\nafter_cut = \"exit 4\"\n");
    last_line(
        &night.backup(&[]),
        "point 1 was added, but not all else was done: after_cut (exit 4): failed with status 4",
    );
    assert_eq!(night.bench.ids(), [1]);
}

#[test]
fn what_fails_after_a_suspect_point_does_not_hide_it() {
    let mut night = Night::new();
    night.write("[hooks]\nafter_cut = \"[ $ERA_RESULT = success ] || exit 4\"\n");
    succeeded(&night.backup(&[]));
    night.device.write(9, false);
    let audit = Audit { first: 0, stride: 1, checked: 40, differing: 1, units: vec![5] };
    let stream = night.device.audited_increment(&audit);
    night.other.sends(&stream, "");
    let out = night.backup(&[]);
    last_line(&out, "point 2 was added, but not all else was done: after_cut ");
    last_line(&out, "point 2 is SUSPECT: 1 of 40 blocks");
}

#[test]
fn old_points_stay_while_somebody_reads() {
    let mut night = Night::new();
    night.write("[retention]\nkeep_last = 1\n");
    succeeded(&night.backup(&[]));
    night.more();
    let reader = fs::File::open(night.bench.file("lock.readers")).unwrap();
    flock(&reader, FlockOperation::LockShared).unwrap();
    let out = night.backup(&[]);
    succeeded(&out);
    assert!(out.stderr.contains("no old points were taken away; the next run does it"), "{}", out.stderr);
    assert_eq!(night.bench.ids(), [1, 2]);
    drop(reader);
    night.more();
    succeeded(&night.backup(&[]));
    assert_eq!(night.bench.ids(), [3]);
}

#[test]
fn an_interruption_ends_the_sender_and_runs_the_hook() {
    let night = Night::new();
    // Half a stream, and then nothing for longer than any test takes.
    night.other.script("send", "head -c 1000 stream; echo begun >>order; exec sleep 1000");
    night.write("metrics = \"DIR/era.prom\"\n[hooks]\nafter_cut = \"echo after $ERA_RESULT >>DIR/order\"\n");
    let file = night.file();
    let child = crate::program::command("era", &["backup", "--config", &file]).spawn().unwrap();
    while night.read("order").is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let out = Run::from(child.wait_with_output().unwrap());
    assert_eq!(out.signal, Some(15), "{}", out.stderr);
    let last = out.stderr.lines().last().unwrap();
    assert!(last.starts_with("era: backup of me@vm1:root: interrupted: "), "{last}");
    assert_eq!(night.read("order"), "begun\nafter failure\n");
    assert_eq!(metrics(&night.read("era.prom"))["last_run_success"], 0.0);
}

#[test]
fn metrics_after_success_and_after_failure() {
    let mut night = Night::new();
    night.write("metrics = \"DIR/era.prom\"\n[retention]\nkeep_last = 1\n");
    succeeded(&night.backup(&[]));
    night.more();
    let out = night.backup(&["--json"]);
    succeeded(&out);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let success = metrics(&night.read("era.prom"));
    let names: Vec<&str> = success.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "changed_blocks",
            "changed_bytes",
            "duration_seconds",
            "last_run_success",
            "last_run_timestamp_seconds",
            "last_success_timestamp_seconds",
            "points",
            "suspect",
            "transferred_bytes",
            "writes_held_seconds",
        ]
    );
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    assert_eq!(success["last_run_success"], 1.0);
    assert_eq!(success["last_run_timestamp_seconds"], success["last_success_timestamp_seconds"]);
    assert_eq!((success["points"], success["suspect"]), (1.0, 0.0));
    assert_eq!(success["transferred_bytes"], number(&json["transferred_bytes"]));
    assert_eq!(success["changed_bytes"], number(&json["point"]["changed_bytes"]));
    assert_eq!(success["changed_blocks"], number(&json["changed_units"]));
    assert!(success["changed_blocks"] >= 1.0);
    assert_eq!(success["writes_held_seconds"], 1e-6);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &night.other.path("era.prom").metadata().unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o644);

    night.other.sends(b"", "exit 9");
    last_line(&night.backup(&[]), "era send on me@vm1: failed with status 9, and said nothing");
    let mut failure = metrics(&night.read("era.prom"));
    assert_eq!(failure["last_run_success"], 0.0);
    assert!(failure["last_run_timestamp_seconds"] >= success["last_run_timestamp_seconds"]);
    // All else is of the last success.
    for name in ["last_run_success", "last_run_timestamp_seconds", "duration_seconds"] {
        failure.insert(name.into(), success[name]);
    }
    assert_eq!(failure, success);
    let left: Vec<_> = fs::read_dir(night.other.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("prom"))
        .collect();
    assert_eq!(left, ["era.prom"]);
    // They can be asked for without a configuration.
    let file = night.other.path("era.prom");
    let out = night.other.backup(&night.bench, &["--metrics", file.to_str().unwrap()]);
    last_line(&out, "failed with status 9");
    assert_eq!(metrics(&night.read("era.prom"))["points"], 1.0);
}

/// The numbers in a file of metrics, each of which has its HELP and TYPE right before it, by the ends of their names.
#[track_caller]
fn metrics(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{text:?}");
    let lines: Vec<&str> = text.lines().collect();
    let mut values = BTreeMap::new();
    for group in lines.chunks(3) {
        let [help, kind, sample] = group else { panic!("{group:?}") };
        let (name, rest) = sample.split_once('{').unwrap();
        let repository = rest.strip_prefix("source=\"me@vm1:root\",repository=\"").unwrap();
        let (repository, value) = repository.split_once("\"} ").unwrap();
        assert!(repository.starts_with('/') && !repository.contains(['"', '\\', '\n']), "{repository}");
        assert!(!value.contains(' '), "{sample}");
        assert!(
            help.strip_prefix(&format!("# HELP {name} ")).is_some_and(|help| help.ends_with('.')),
            "{help}"
        );
        assert_eq!(*kind, format!("# TYPE {name} gauge"));
        let name = name.strip_prefix("era_backup_").unwrap();
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        assert_eq!(values.insert(name.to_owned(), value.parse().unwrap()), None, "{name} twice");
    }
    values
}
