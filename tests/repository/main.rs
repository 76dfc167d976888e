// SPDX-License-Identifier: GPL-3.0-or-later
//! Repositories by their effects: the program is run on directories, and what it keeps is compared with what was given to
//! it, bit for bit. Kernel and network do not take part here.

#[path = "../common/program.rs"]
mod program;

mod backup;
mod bench;
mod config;
mod crashes;
mod damage;
mod growth;
mod life;
mod locks;
mod lost;
mod memory;
mod passes;
mod readers;
mod refusals;
mod repair;
