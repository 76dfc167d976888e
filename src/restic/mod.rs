// SPDX-License-Identifier: GPL-3.0-or-later
//! Repositories of restic's format: deduplicating, encrypted, on object stores and elsewhere.
//!
//! `rustic_core` is the engine: storage, encryption, deduplication, pruning, checks. What is here puts changed-block tracking in front of
//! it. A device is a directory of segments ([`layout`]), so that any program that knows restic's format gives the device back:
//!
//! ```text
//! restic dump latest /NAME.img | tar xO
//! ```
//!
//! # What a backup costs
//!
//! rustic walks a whole source and compares it with the snapshot before. With 16 million segments that alone would take minutes. So
//! the source ([`source`], fed by [`walk`]) opens only the folders in which something changed, and gives every other one as a
//! node whose tree is the old one: rustic puts it into the new tree as it is. What is read, hashed and uploaded grows with the
//! changes alone.
//!
//! A first backup is an increment upon a device of zeros ([`zeros`]), whose trees are made once: holes cost nothing.
//!
//! # What must hold
//!
//! A snapshot is complete, or there is none. rustic leaves a file out that cannot be read, and saves the snapshot all the
//! same. Therefore nothing that it saves while it archives reaches the repository ([`gate`]): the snapshot is written by
//! [`backup`] at the very end, when the stream of the device has ended well, every segment is counted, and the sender, cut
//! and all, has succeeded.
//!
//! There are no locks: [`witness`] sees what other machines take away meanwhile, and [`presence`] then looks whether the snapshot has all that
//! it needs, before it is written. [`make`] sees to it that no repository is made where there is one.
//!
//! # Reading
//!
//! [`points`] says which snapshots are of which device, [`image`] which blobs hold which bytes of a point, and [`archive`] reads and
//! checks them. [`restore`] fetches many of them at a time, [`files`] any bytes, for who mounts points.

pub mod archive;
pub mod assemble;
pub mod backup;
pub mod check;
pub mod failure;
pub mod feed;
pub mod files;
pub mod gate;
pub mod hashes;
pub mod image;
pub mod layout;
pub mod listing;
pub mod make;
pub mod mark;
pub mod open;
pub mod parent;
pub mod password;
pub mod patience;
pub mod points;
pub mod presence;
pub mod prune;
pub mod restore;
pub mod room;
pub mod source;
pub mod url;
pub mod walk;
pub mod witness;
pub mod zeros;
