// SPDX-License-Identifier: GPL-3.0-or-later
//! Room for what is read ahead of the archive, pass by pass.
//!
//! The last pass of a stream is read while writes are held back, so it may not have to wait until what came before is uploaded: each pass
//! has room of its own. What is left of earlier passes is bounded as well, where a pass begins.

use std::sync::{Condvar, Mutex};

use super::witness::lock;

/// Segments of a pass that are read ahead: 64 MiB, which a cut may always have, or it would end late.
const AHEAD: usize = 64;

/// Segments of earlier passes that may be left when another pass begins.
const LEFT: usize = 2 * AHEAD;

#[derive(Debug, Default)]
struct State {
    pass: u64,
    /// Of this pass.
    ahead: usize,
    /// Of earlier ones.
    left: usize,
    /// Nobody takes anything any more.
    shut: bool,
}

impl State {
    fn has_room(&self) -> bool {
        self.ahead < AHEAD || self.shut
    }

    fn may_begin(&self) -> bool {
        self.left <= LEFT || self.shut
    }

    fn begin(&mut self) {
        self.pass += 1;
        self.left += std::mem::take(&mut self.ahead);
    }

    fn taken(&mut self, pass: u64) {
        let count = if pass == self.pass { &mut self.ahead } else { &mut self.left };
        *count = count.saturating_sub(1);
    }
}

/// Room, between a thread that reads and one that takes.
#[derive(Debug, Default)]
pub struct Room {
    state: Mutex<State>,
    changed: Condvar,
}

impl Room {
    /// Waits until there is room for one more in this pass; returns which pass that is.
    pub fn reserve(&self) -> u64 {
        let full = |state: &mut State| !state.has_room();
        let state = self.changed.wait_while(lock(&self.state), full);
        let mut state = state.unwrap_or_else(std::sync::PoisonError::into_inner);
        state.ahead += 1;
        state.pass
    }

    /// Another pass begins.
    pub fn begin_pass(&self) {
        let mut state = lock(&self.state);
        state.begin();
        let wait = |state: &mut State| !state.may_begin();
        drop(self.changed.wait_while(state, wait));
    }

    /// One of a pass was taken.
    pub fn taken(&self, pass: u64) {
        lock(&self.state).taken(pass);
        self.changed.notify_all();
    }

    /// Nobody waits any more.
    pub fn shut(&self) {
        lock(&self.state).shut = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_has_its_room_whatever_is_left_of_the_one_before() {
        let mut state = State { ahead: AHEAD, ..State::default() };
        assert!(!state.has_room());
        state.begin();
        assert!(state.has_room() && state.may_begin() && state.left == AHEAD);
        state.ahead = AHEAD;
        assert!(!state.has_room());
        // What is taken first is of the pass before.
        state.taken(0);
        assert!(!state.has_room());
        state.taken(1);
        assert!(state.has_room());
    }

    #[test]
    fn passes_that_nobody_takes_come_to_an_end() {
        let mut state = State::default();
        for _ in 0..2 {
            state.ahead = AHEAD;
            state.begin();
            assert!(state.may_begin());
        }
        state.ahead = AHEAD;
        state.begin();
        assert!(!state.may_begin());
        for pass in 0..AHEAD as u64 {
            state.taken(pass % 3);
        }
        assert!(state.may_begin());
        state.ahead = AHEAD;
        state.shut = true;
        assert!(state.has_room());
    }
}
