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
//! - `writesets`: the bitsets of eras;
//! - `view`: which state is read, and whether it held still;
//! - `changed`: the question itself;
//! - `last_written`: when each part of the device was written last, for people to look at.

mod array;
mod block;
mod btree;
mod changed;
mod eras;
mod error;
mod last_written;
mod superblock;
mod view;
mod writesets;

pub use changed::{Changed, ChangedError, changed_since};
pub use error::{MetadataError, Problem};
pub use last_written::{AGES, Age, LastWritten, last_written};
pub use superblock::{Superblock, snapshot_at, superblock};
pub use view::View;
