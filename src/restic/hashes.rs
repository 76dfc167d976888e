// SPDX-License-Identifier: GPL-3.0-or-later
//! What a point holds, as a list of hashes that a sender compares with the device. Everything is read for it: the list says what
//! can be had from the repository, not what should be there.

use std::io::Write;

use anyhow::Context;
use uuid::Uuid;

use super::image::Image;
use super::restore::each_bytes;
use crate::report::Progress;
use crate::stream::{HashListHeader, HashListWriter};

/// Zeros are hashed piece by piece.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Writes the list of a point of a device, in units of so many bytes.
pub fn write_list(
    image: &mut Image,
    device: Uuid,
    unit_bytes: u64,
    mut output: impl Write,
    progress: &Progress,
) -> anyhow::Result<()> {
    let device_bytes = image.layout().device_bytes();
    let header = HashListHeader { device, device_bytes, unit_bytes, first: 0, stride: 1 };
    let sink: &mut dyn Write = &mut output;
    let writer = HashListWriter::new(sink, &header).context(WRITING)?;
    let mut units =
        Units { writer, unit_bytes, device_bytes, hasher: blake3::Hasher::new(), at: 0, of_zeros: None };
    each_bytes(image, None, progress, &mut |extent, bytes| match bytes {
        Some(bytes) => units.add(bytes),
        None => units.add_zeros(extent.len),
    })?;
    units.writer.finish().context(WRITING)?;
    output.flush().context(WRITING)
}

const WRITING: &str = "cannot write the list of hashes";

/// Cuts what a device holds into units.
struct Units<'a> {
    writer: HashListWriter<&'a mut dyn Write>,
    unit_bytes: u64,
    device_bytes: u64,
    hasher: blake3::Hasher,
    /// How much of the device there was.
    at: u64,
    /// The hash of a whole unit of zeros.
    of_zeros: Option<[u8; 32]>,
}

impl Units<'_> {
    /// Bytes that the unit lacks which is being hashed.
    fn lacking(&self) -> u64 {
        let begin = self.at / self.unit_bytes * self.unit_bytes;
        (begin + self.unit_bytes).min(self.device_bytes) - self.at
    }

    fn add(&mut self, mut bytes: &[u8]) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            let lacking = self.lacking();
            let count = usize::try_from(lacking).unwrap_or(usize::MAX).min(bytes.len());
            self.hasher.update(&bytes[..count]);
            self.at += count as u64;
            bytes = &bytes[count..];
            if count as u64 == lacking {
                self.complete()?;
            }
        }
        Ok(())
    }

    fn add_zeros(&mut self, mut len: u64) -> anyhow::Result<()> {
        while len > 0 {
            if self.at.is_multiple_of(self.unit_bytes) && len >= self.unit_bytes {
                let hash = *self.of_zeros.get_or_insert_with(|| hash_of_zeros(self.unit_bytes));
                self.writer.push(&hash).context(WRITING)?;
                self.at += self.unit_bytes;
                len -= self.unit_bytes;
            } else {
                let part = self.lacking().min(len).min(ZEROS.len() as u64);
                self.add(&ZEROS[..usize::try_from(part)?])?;
                len -= part;
            }
        }
        Ok(())
    }

    fn complete(&mut self) -> anyhow::Result<()> {
        let hash = *self.hasher.finalize().as_bytes();
        self.hasher.reset();
        self.writer.push(&hash).context(WRITING)
    }
}

fn hash_of_zeros(mut len: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    while len > 0 {
        let part = len.min(ZEROS.len() as u64);
        hasher.update(&ZEROS[..usize::try_from(part).unwrap_or(ZEROS.len())]);
        len -= part;
    }
    *hasher.finalize().as_bytes()
}
