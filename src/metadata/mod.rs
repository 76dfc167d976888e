// SPDX-License-Identifier: GPL-3.0-or-later
//! What dm-era keeps on its metadata device, and which blocks changed since an era.
//!
//! The format is the kernel's (`drivers/md/dm-era-target.c` and `drivers/md/persistent-data`): 4 KiB blocks,
//! little-endian, each with a checksum and its own number. From the superblock hang a b-tree of archived
//! writesets (era to bitset) and an array with the last era that each block was written in, into which the
//! kernel digests the writesets, oldest first. So at any moment
//!
//! > changed since E = the union of the writesets of eras >= E and of the array's entries >= E.
//!
//! The invariant of the whole module: the answer is complete or it is an error. Nothing that cannot be
//! read, checked and placed is passed over, since a block left out is a backup that is silently wrong.
//!
//! - `block`: checked blocks, many at a time;
//! - `superblock`: the root of everything, and the metadata snapshot;
//! - `btree`: the kernel's b-trees, walked level by level;
//! - `array`: arrays and bitsets, which are b-trees of array blocks;
//! - `eras`: which entries of the era array are recent enough;
//! - `changed`: the question itself.

mod array;
mod block;
mod btree;
mod changed;
mod eras;
mod error;
mod superblock;

pub use changed::{Changed, ChangedError, View, changed_since};
pub use error::{MetadataError, Problem};
pub use superblock::{Superblock, snapshot_at, superblock};
