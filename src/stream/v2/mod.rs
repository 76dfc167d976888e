// SPDX-License-Identifier: GPL-3.0-or-later
//! Version 2 of the stream, as `docs/stream.md` specifies it.
//!
//! Every record has a number and two checksums; the trailer has a hash over the hashes of all records. Records do not
//! depend on each other, and so are made and checked by several threads.

mod check;
mod description;
mod frame;
mod payload;
mod read;
mod record;
mod seal;
mod write;

pub use description::{Consistency, Header, Kind, Trailer};
pub(super) use read::read;
pub use read::{Lone, read_record_at};
pub use record::OPTIONAL;
pub(super) use record::STREAM_MAGIC as MAGIC;
pub use write::Encoder;
