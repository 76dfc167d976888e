// SPDX-License-Identifier: GPL-3.0-or-later
//! Repositories by their effects: the program is run on directories, and what it keeps is compared with what was given to
//! it, bit for bit. Kernel and network do not take part here.

#[path = "../common/oracle_program.rs"]
mod oracle_program;
#[path = "../common/program.rs"]
mod program;
#[path = "../common/tmux.rs"]
mod tmux;

mod backup;
mod bench;
mod config;
mod crashes;
mod damage;
mod growth;
mod life;
mod locks;
mod look;
mod lost;
mod memory;
mod passes;
mod readers;
mod refusals;
mod repair;
