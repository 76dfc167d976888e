// SPDX-License-Identifier: GPL-3.0-or-later
//! Writes dm-era metadata images, for tests and benches.
//!
//! This is a second, independent reading of the on-disk format: it shares no code with the library, so that a
//! misunderstanding there cannot hide behind the same misunderstanding here. It goes bottom up and writes each
//! block once, in order, so that an image of 33 million blocks takes seconds and next to no memory.
//!
//! The metadata space map is left empty: readers do not use it, and neither do era_dump and era_invalidate. The
//! kernel would not open these images.
//!
//! Use it with `#[path = "common/metadata_builder.rs"] mod metadata_builder;`.
#![allow(dead_code)] // each test target uses its own part of this

#[path = "metadata_builder/blocks.rs"]
pub mod blocks;
#[path = "metadata_builder/image.rs"]
pub mod image;
#[path = "metadata_builder/layout.rs"]
pub mod layout;
#[path = "metadata_builder/model.rs"]
pub mod model;
#[path = "metadata_builder/trees.rs"]
pub mod trees;

use blocks::{Block, put_u32, put_u64, superblock};
use layout::{BlockWriter, Layout, Part};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Seek, Write};
use std::rc::Rc;

/// Everything that an image is to hold.
#[derive(Clone, Debug)]
pub struct Description {
    pub block_size_sectors: u32,
    pub nr_blocks: u32,
    pub live: State,
    /// The metadata snapshot, with a superblock and trees of its own.
    pub snapshot: Option<State>,
    /// `max_entries` of all b-tree nodes, a multiple of 3, to get deep trees from few entries. None: as many as fit.
    pub node_capacity: Option<u32>,
}

/// What one superblock leads to.
#[derive(Clone, Debug)]
pub struct State {
    pub current_era: u32,
    /// The archived writesets that are not, or not completely, digested yet, by era.
    pub archived: BTreeMap<u32, Writeset>,
    /// None: archived already, as in metadata of a device that was closed.
    pub current: Option<Writeset>,
    pub eras: Eras,
}

/// The blocks written in one era. `nr_bits` is smaller than the device if that has grown since.
#[derive(Clone, Debug)]
pub struct Writeset {
    pub nr_bits: u32,
    pub words: Vec<u64>,
}

/// The era array: for each block the last digested era in which it was written, 0 for never.
#[derive(Clone)]
pub struct Eras(Rc<dyn Fn(u64) -> u32>);

impl Description {
    /// A device whose blocks were never written, in era `current_era`.
    pub fn clean(nr_blocks: u32, current_era: u32) -> Self {
        Self {
            block_size_sectors: 128,
            nr_blocks,
            live: State::clean(current_era),
            snapshot: None,
            node_capacity: None,
        }
    }
}

impl State {
    pub fn clean(current_era: u32) -> Self {
        Self { current_era, archived: BTreeMap::new(), current: None, eras: Eras::new(|_| 0) }
    }
}

impl Writeset {
    pub fn new(nr_bits: u32, blocks: impl IntoIterator<Item = u32>) -> Self {
        let mut words = vec![0; nr_bits.div_ceil(64) as usize];
        for block in blocks {
            assert!(block < nr_bits, "bit {block} of {nr_bits}");
            words[block as usize / 64] |= 1 << (block % 64);
        }
        Self { nr_bits, words }
    }

    pub fn contains(&self, block: u32) -> bool {
        block < self.nr_bits && self.words[block as usize / 64] >> (block % 64) & 1 == 1
    }
}

impl Eras {
    pub fn new(era_of: impl Fn(u64) -> u32 + 'static) -> Self {
        Self(Rc::new(era_of))
    }

    pub fn of(&self, block: u64) -> u32 {
        (self.0)(block)
    }
}

impl fmt::Debug for Eras {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Eras(..)")
    }
}

/// Writes the image, block 0 last, and says what each block is.
pub fn write<W: Write + Seek>(out: W, what: &Description) -> io::Result<Layout> {
    let mut out = BlockWriter::new(out)?;
    // Only the snapshot's trees come before its superblock; it must be known when block 0 is written.
    let snapshot = match &what.snapshot {
        Some(state) => {
            let mut clone = write_state(&mut out, what, state)?;
            out.append(Part::SnapshotSuperblock, &mut clone)?
        }
        None => 0,
    };
    let mut live = write_state(&mut out, what, &what.live)?;
    put_u64(&mut live, superblock::METADATA_SNAP, snapshot);
    out.finish(&mut live)
}

/// Writes what hangs below a superblock, and returns that superblock.
fn write_state<W: Write + Seek>(
    out: &mut BlockWriter<W>,
    what: &Description,
    state: &State,
) -> io::Result<Block> {
    let capacity = what.node_capacity;
    let mut archived = Vec::new();
    for (&era, writeset) in &state.archived {
        let root =
            trees::write_bitset(out, capacity, [Part::BitsetIndex, Part::BitsetWords], &writeset.words)?;
        archived.push((u64::from(era), trees::writeset_value(writeset.nr_bits, root)));
    }
    let writeset_root = trees::write_btree(out, Part::WritesetTree, capacity, &archived)?;
    let era_root = trees::write_array::<4, _>(
        out,
        capacity,
        [Part::EraIndex, Part::EraValues],
        u64::from(what.nr_blocks),
        |block| state.eras.of(block).to_le_bytes(),
    )?;
    // The kernel keeps nr_bits and forgets the root when it has archived the writeset.
    let (current_bits, current_root) = match &state.current {
        Some(writeset) => {
            let parts = [Part::CurrentIndex, Part::CurrentWords];
            (writeset.nr_bits, trees::write_bitset(out, capacity, parts, &writeset.words)?)
        }
        None => (what.nr_blocks, 0),
    };

    let mut sb = blocks::empty();
    put_u64(&mut sb, superblock::MAGIC, 2_126_579_579);
    put_u32(&mut sb, superblock::VERSION, 1);
    put_u32(&mut sb, superblock::DATA_BLOCK_SIZE, what.block_size_sectors);
    put_u32(&mut sb, superblock::METADATA_BLOCK_SIZE, 8);
    put_u32(&mut sb, superblock::NR_BLOCKS, what.nr_blocks);
    put_u32(&mut sb, superblock::CURRENT_ERA, state.current_era);
    put_u32(&mut sb, superblock::CURRENT_NR_BITS, current_bits);
    put_u64(&mut sb, superblock::CURRENT_ROOT, current_root);
    put_u64(&mut sb, superblock::WRITESET_TREE_ROOT, writeset_root);
    put_u64(&mut sb, superblock::ERA_ARRAY_ROOT, era_root);
    Ok(sb)
}
