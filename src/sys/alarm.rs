// SPDX-License-Identifier: GPL-3.0-or-later
//! SIGALRM ends a system call that waits, and nothing else.
//!
//! A suspend waits for writes that are under way, and may be left early: the kernel answers "restart", which becomes an
//! error only where the signal's handler does not ask for restarts. Those of signal-hook do.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::SIGALRM;

/// From now on SIGALRM makes a system call that waits fail with EINTR, and does not end the process.
pub fn interrupt_on_alarm() -> io::Result<()> {
    signal_hook::flag::register(SIGALRM, Arc::new(AtomicBool::new(false)))?;
    let mut action = MaybeUninit::uninit();
    // SAFETY: the kernel writes the signal's action where it is told to, and changes none.
    check(unsafe { libc::sigaction(SIGALRM, ptr::null(), action.as_mut_ptr()) })?;
    // SAFETY: the call above succeeded, and so it is written.
    let mut action: libc::sigaction = unsafe { action.assume_init() };
    action.sa_flags &= !libc::SA_RESTART;
    // SAFETY: an action that was in force, but for a flag that says nothing of memory.
    check(unsafe { libc::sigaction(SIGALRM, &raw const action, ptr::null_mut()) })
}

fn check(result: i32) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::thread::JoinHandleExt;
    use std::thread;
    use std::time::Duration;

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_read_that_waits_is_interrupted() {
        interrupt_on_alarm().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let waiting = thread::spawn(move || rustix::io::read(&reader, &mut [0]));
        while !waiting.is_finished() {
            // SAFETY: the thread has not been joined, so its number is valid.
            assert_eq!(unsafe { libc::pthread_kill(waiting.as_pthread_t(), SIGALRM) }, 0);
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(waiting.join().unwrap(), Err(Errno::INTR));
        drop(writer);
    }
}
