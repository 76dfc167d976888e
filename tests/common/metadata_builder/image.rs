// SPDX-License-Identifier: GPL-3.0-or-later
//! An image in a temporary file, and the means to damage it. Damage that a checksum would catch hides what is
//! behind it, so edits come with checksums made right afterwards.

use super::blocks::{BLOCK_SIZE, Block, Kind, empty, get_u64, put_u64};
use super::layout::{Layout, Part};
use super::{Description, write};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use tempfile::NamedTempFile;

pub struct Image {
    file: NamedTempFile,
    pub layout: Layout,
}

impl Image {
    pub fn build(what: &Description) -> Self {
        let file = NamedTempFile::new().expect("a temporary file");
        let layout = write(file.as_file(), what).expect("the image is written");
        Self { file, layout }
    }

    pub fn path(&self) -> &Path {
        self.file.path()
    }

    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    pub fn nr_blocks(&self) -> u64 {
        self.layout.parts.len() as u64
    }

    pub fn read(&self, block: u64) -> Block {
        let mut bytes = empty();
        self.file().read_exact_at(&mut bytes[..], block * BLOCK_SIZE as u64).expect("the block is read");
        bytes
    }

    pub fn write(&self, block: u64, bytes: &Block) {
        self.file().write_all_at(&bytes[..], block * BLOCK_SIZE as u64).expect("the block is written");
    }

    /// Edits a block and leaves its checksum as it was.
    pub fn damage(&self, block: u64, edit: impl FnOnce(&mut Block)) {
        let mut bytes = self.read(block);
        edit(&mut bytes);
        self.write(block, &bytes);
    }

    /// Edits a block and makes its checksum right.
    pub fn patch(&self, block: u64, edit: impl FnOnce(&mut Block)) {
        let index = usize::try_from(block).expect("a block of the layout");
        let kind = self.layout.parts[index].kind();
        self.damage(block, |bytes| {
            edit(bytes);
            kind.seal(bytes);
        });
    }

    /// Replaces a block by one of another kind, valid in itself.
    pub fn replace(&self, block: u64, kind: Kind, mut bytes: Block) {
        put_u64(&mut bytes, kind.blocknr_field(), block);
        kind.seal(&mut bytes);
        self.write(block, &bytes);
    }

    /// Appends a valid block and returns its number.
    pub fn append(&mut self, part: Part, bytes: Block) -> u64 {
        let block = self.nr_blocks();
        self.layout.parts.push(part);
        self.replace(block, part.kind(), bytes);
        block
    }

    /// A pointer in the live superblock.
    pub fn root(&self, field: usize) -> u64 {
        get_u64(&self.read(0), field)
    }
}
