// SPDX-License-Identifier: GPL-3.0-or-later
//! Memory does not grow with the device, but for a bit a block: commands run with less than the hashes of a large one take.

use std::fs;
use std::process::Command;

use crate::bench::{BLOCK, Bench, Device};
use crate::program::{self, Run};

/// KiB of data that a process may have, its threads' stacks included.
const LIMIT_KIB: u64 = 128 << 10;

/// 16 GiB of zeros in 4 million blocks, which have 128 MiB of hashes.
const BYTES: u64 = (4 << 20) * BLOCK;

fn limited(bench: &Bench, args: &[&str], stream: &[u8]) -> Run {
    let era = env!("CARGO_BIN_EXE_era");
    let mut command = Command::new("bash");
    let script = format!("ulimit -d {LIMIT_KIB} && cd \"$1\" && shift && exec {era} \"$@\"");
    command.args(["-c", &script, "bash", bench.path().parent().unwrap().to_str().unwrap()]).args(args);
    program::run_command(command, stream)
}

#[test]
fn of_all_that_reads_and_writes_a_repository() {
    let bench = Bench::new();
    let mut device = Device::new(0);
    let first = device.full_of_zeros(BYTES);
    let again = device.full_of_zeros(BYTES);
    let commands: [(&[&str], &[u8]); 7] = [
        (&["receive", "repo"], &first),
        (&["receive", "repo"], &again),
        (&["points", "repo"], b""),
        (&["verify", "repo"], b""),
        (&["restore", "repo@1", "restored"], b""),
        (&["hashes", "--reread", "repo"], b""),
        (&["prune", "repo", "--keep-last", "1"], b""),
    ];
    for (args, stream) in commands {
        let out = limited(&bench, args, stream);
        assert_eq!(out.code, Some(0), "{args:?}: {}", out.stderr);
    }
    let restored = fs::metadata(bench.path().parent().unwrap().join("restored")).unwrap();
    assert_eq!(restored.len(), BYTES);
}
