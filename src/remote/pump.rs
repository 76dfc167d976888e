// SPDX-License-Identifier: GPL-3.0-or-later
//! From the sender to the receiver, no faster than one may.

use std::io::{self, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::report::Progress;

/// Bytes moved at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Which end failed.
#[derive(Debug)]
pub enum Broken {
    /// The sender's.
    Reading(io::Error),
    /// The receiver's.
    Writing(io::Error),
}

/// Moves everything; returns how many bytes that were. `limit` is in bytes a second.
pub fn pump(
    mut from: impl Read,
    mut to: impl Write,
    limit: Option<u64>,
    progress: &Progress,
) -> Result<u64, Broken> {
    let begin = Instant::now();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut moved = 0;
    loop {
        let len = match from.read(&mut buffer) {
            Ok(0) => return Ok(moved),
            Ok(len) => len,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Broken::Reading(e)),
        };
        to.write_all(&buffer[..len]).map_err(Broken::Writing)?;
        moved += len as u64;
        progress.advance(len as u64);
        if let Some(limit) = limit {
            thread::sleep(due(moved, limit).saturating_sub(begin.elapsed()));
        }
    }
}

/// How long so many bytes should take.
pub(super) fn due(bytes: u64, limit: u64) -> Duration {
    let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(limit.max(1));
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_arrives() {
        let bytes: Vec<u8> = (0..1_000_000u32).map(|i| (i % 251) as u8).collect();
        let mut arrived = Vec::new();
        let moved = pump(&bytes[..], &mut arrived, None, &Progress::hidden()).unwrap();
        assert_eq!(moved, 1_000_000);
        assert!(arrived == bytes);
    }

    #[test]
    fn a_limit_is_bytes_a_second() {
        assert_eq!(due(5 << 20, 1 << 20), Duration::from_secs(5));
        assert_eq!(due(0, 1), Duration::ZERO);
        assert_eq!(due(u64::MAX, 1), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn the_end_that_failed_is_known() {
        struct Bad;
        impl Read for Bad {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        assert!(matches!(pump(Bad, Vec::new(), None, &Progress::hidden()), Err(Broken::Reading(_))));
        let mut full = [0; 3];
        assert!(matches!(
            pump(&[0; 9][..], &mut full[..], None, &Progress::hidden()),
            Err(Broken::Writing(_))
        ));
    }
}
