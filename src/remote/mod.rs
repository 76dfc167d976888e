// SPDX-License-Identifier: GPL-3.0-or-later
//! A backup between two places: `era` as a sender on one, as a receiver on the other, and what goes between them through
//! this process. Either may be this machine or one that ssh leads to.

pub mod backup;
mod child;
pub mod compare;
pub mod hook;
pub mod metrics;
pub mod peer;
pub mod place;
mod pump;
#[cfg(feature = "restic")]
pub mod restic;
pub mod routine;
pub mod words;
pub mod work;
