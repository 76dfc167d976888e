// SPDX-License-Identifier: GPL-3.0-or-later
//! A repository: the mirror of a device, and how it was at every kept point in time.
//!
//! `docs/repository.md` specifies the directory. The image is the device at the last point; each undo stream leads from a
//! point back to the one before. Nothing of the image is overwritten before its old content is durable, and the
//! manifest, which is replaced as a whole, says how far all has come: after any crash the repository is at the previous
//! point, or at the new one.

mod admit;
mod assemble;
pub mod base;
pub mod bulk;
mod current;
mod file;
pub mod files;
mod geometry;
mod hashes;
pub mod images;
mod layout;
pub mod manifest;
mod open;
mod overwrite;
pub mod points;
pub mod prune;
mod readahead;
pub mod receive;
mod receiver;
mod reserve;
pub mod restore;
pub mod retention;
mod stage;
mod store;
pub mod target;
mod undo;
pub mod verify;
pub mod view;

pub use admit::Refused;
pub use geometry::{Geometry, unit_bytes};
pub use open::{Access, Repository};
