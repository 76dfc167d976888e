// SPDX-License-Identifier: GPL-3.0-or-later
//! Repositories of restic's format by their effects: the program is fed streams, and Debian's restic, which is another program by
//! other people, says what is in the repository.

#[path = "../common/program.rs"]
mod program;
#[path = "../common/stream_builder.rs"]
mod stream_builder;

mod backends;
mod bench;
mod damage;
mod device;
mod failing;
mod files;
mod fleet;
mod foreign;
mod increments;
mod made;
mod meanwhile;
mod pause;
mod points;
mod proxy;
mod pruned;
mod pruning;
mod refusals;
mod restoring;
mod scale;
mod servers;
mod shared;
mod sparse;
mod storage;
