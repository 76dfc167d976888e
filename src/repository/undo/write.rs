// SPDX-License-Identifier: GPL-3.0-or-later
//! Making an undo stream: what is about to be overwritten is appended and made durable, then it may be overwritten.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::index::{Entry, Index, Writer};
use super::{HASHES, index_of};
use crate::blockio::Piece;
use crate::repository::file::{RepoFile, sync_dir};
use crate::repository::hashes::UnitHash;
use crate::stream::{Encode, EncoderV2, Header, Output};
use crate::units::{Era, Extent};

/// An undo stream that is being made.
pub struct UndoWriter {
    path: PathBuf,
    encoder: EncoderV2<Appender>,
    index: Writer,
    /// Of the batch.
    entries: Vec<Entry>,
}

/// Level of zstd: old contents are written once and rarely read.
const LEVEL: i32 = 1;

impl UndoWriter {
    /// Begins one; its name is durable when this returns.
    pub fn create(path: &Path, header: &Header) -> anyhow::Result<Self> {
        let output = Appender { file: RepoFile::create(path)?, end: 0 };
        let mut encoder = EncoderV2::new(output, header, Some(LEVEL), Era(0))
            .with_context(|| path.display().to_string())?;
        // Its header says how large the image is to be again.
        encoder.output_mut().file.sync()?;
        let index = Writer::create(&index_of(path))?;
        if let Some(directory) = path.parent() {
            sync_dir(directory)?;
        }
        Ok(Self { path: path.to_owned(), encoder, index, entries: Vec::new() })
    }

    /// Appends what a unit holds, and what it must hash to. Its bytes may come in pieces, in their order.
    pub fn save(&mut self, unit: u64, hash: UnitHash, extent: Extent, bytes: &[u8]) -> anyhow::Result<()> {
        self.entries.push(Entry { unit, at: self.encoder.position(), hash });
        if extent.len > 0 {
            self.encoder
                .piece(&Piece { extent, offset: extent.offset, bytes })
                .with_context(|| self.path.display().to_string())?;
        }
        Ok(())
    }

    /// Makes durable what was appended: from now on it may be overwritten.
    pub fn barrier(&mut self) -> anyhow::Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let path = || self.path.display().to_string();
        for entries in self.entries.chunks(HASHES_IN_RECORD) {
            let mut payload = Vec::with_capacity(entries.len() * 40);
            for entry in entries {
                payload.extend_from_slice(&entry.unit.to_le_bytes());
                payload.extend_from_slice(&entry.hash);
            }
            self.encoder.optional(HASHES, &payload).with_context(path)?;
        }
        self.encoder.output_mut().file.sync()?;
        // It is there before anything is overwritten, for those who read meanwhile; and durable, as it says after a crash
        // how much of the stream must be there.
        self.index.append(&mut self.entries)?;
        self.index.sync()?;
        self.entries.clear();
        Ok(())
    }

    /// Ends it: stream and index are whole and durable. Returns the bytes that both take.
    pub fn finish(mut self) -> anyhow::Result<u64> {
        self.barrier()?;
        self.encoder.finish().with_context(|| self.path.display().to_string())?;
        self.encoder.output_mut().file.sync()?;
        let index_path = index_of(&self.path);
        Index::open(&index_path)?.merged()?;
        self.index.sync()?;
        let index = RepoFile::open_to_read(&index_path)?;
        Ok(self.encoder.output_mut().end + index.len()?)
    }
}

/// Far below what a record may hold.
const HASHES_IN_RECORD: usize = 1 << 14;

/// A file that is written from its beginning on.
struct Appender {
    file: RepoFile,
    end: u64,
}

impl Write for Appender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The whole chain of causes: this error is given one more cause by those who see it.
        self.file.write(bytes, self.end).map_err(|e| io::Error::other(format!("{e:#}")))?;
        self.end += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Appender {}
