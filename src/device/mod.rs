// SPDX-License-Identifier: GPL-3.0-or-later
//! Tracked devices: what they are made of, what we keep about them on their metadata device, and how they are put up
//! and taken down.

mod audit;
pub mod compare;
pub mod cursor;
mod cut;
pub mod disk;
pub mod dm;
pub mod eratab;
pub mod failpoint;
pub mod fingerprint;
pub mod growth;
pub mod guardian;
pub mod header;
mod held;
pub mod identity;
pub mod kernel_metadata;
pub mod leaving;
pub mod lifecycle;
pub(crate) mod lock;
pub mod metadata_snapshot;
pub(crate) mod mounts;
pub mod opening;
mod plan;
mod room;
pub mod send;
pub mod signature;
pub mod sizing;
pub mod stack;
pub mod status;
pub mod table;
mod traces;
pub mod tracked;
mod untracked;
