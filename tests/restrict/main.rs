// SPDX-License-Identifier: GPL-3.0-or-later
//! `era restrict` behind a real sshd: what a key may do, and that it may do nothing else, by the effects.

#[path = "../repository/bench.rs"]
#[allow(dead_code)]
mod bench;
#[path = "../common/program.rs"]
mod program;

mod log;
mod pull;
mod push;
mod refusals;
mod sshd;
