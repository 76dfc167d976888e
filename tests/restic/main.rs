// SPDX-License-Identifier: GPL-3.0-or-later
//! Repositories of restic's format by their effects: the program is fed streams, and Debian's restic, which is another program by
//! other people, says what is in the repository.

#[path = "../common/program.rs"]
mod program;
#[path = "../common/stream_builder.rs"]
mod stream_builder;

mod bench;
mod damage;
mod device;
mod files;
mod foreign;
mod increments;
mod meanwhile;
mod points;
mod pruning;
mod refusals;
mod restoring;
mod shared;
mod sparse;
mod storage;
