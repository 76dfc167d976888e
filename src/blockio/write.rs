// SPDX-License-Identifier: GPL-3.0-or-later
//! Writing all of a buffer, through short writes and interruptions.

use std::io;

use super::WriteAt;

/// Writes all bytes at an offset.
pub fn write_full(destination: &dyn WriteAt, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match destination.write_at(buf, offset) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::WriteZero, "no byte could be written")),
            Ok(written) => {
                buf = &buf[written..];
                offset += written as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blockio::faulty::Faulty;

    #[test]
    fn short_and_interrupted_writes_are_continued() {
        let mut device = Faulty::new(100, 1);
        device.short = Some(7);
        device.interrupt_every = Some(2);
        write_full(&device, &[1; 50], 25).unwrap();
        let written = device.written.borrow();
        assert_eq!(
            (&written[..25], &written[25..75], &written[75..]),
            (&[0xee; 25][..], &[1; 50][..], &[0xee; 25][..])
        );
    }

    #[test]
    fn a_write_that_takes_nothing_is_an_error_and_not_a_loop() {
        let mut device = Faulty::new(100, 1);
        device.stuck = true;
        assert_eq!(write_full(&device, &[1], 0).unwrap_err().kind(), io::ErrorKind::WriteZero);
    }
}
