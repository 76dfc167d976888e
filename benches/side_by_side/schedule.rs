// SPDX-License-Identifier: GPL-3.0-or-later
//! Keeps the whole benchmark below five minutes, also on a slow disk.
//!
//! Each work has a share of the time. What one does not use is for those after it.

use std::time::{Duration, Instant};

use crate::work::ROUNDS;

/// Less than five minutes, as a disk can become slower after the warm-up.
const LIMIT: Duration = Duration::from_secs(240);

pub struct Schedule {
    begin: Instant,
    shares_left: u32,
}

impl Schedule {
    /// The time is divided into so many shares.
    pub fn new(shares: u32) -> Self {
        Self { begin: Instant::now(), shares_left: shares }
    }

    /// Whether there is time for a work with this share whose warm-up, one round, took this long.
    pub fn has_room_for(&self, share: u32, warm_up: Duration) -> bool {
        let left = LIMIT.saturating_sub(self.begin.elapsed());
        warm_up * ROUNDS * self.shares_left <= left * share
    }

    /// A work with this share is done.
    pub fn advance(&mut self, share: u32) {
        self.shares_left -= share;
    }
}
