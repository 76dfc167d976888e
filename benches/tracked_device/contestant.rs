// SPDX-License-Identifier: GPL-3.0-or-later
//! Those who compete: what the writes go through on their way to one and the same disk.
//!
//! As the disk is the same, only one of them is there at a time. Each is built anew for its turn, with new metadata,
//! and so begins in an era in which no block is marked.

use std::path::PathBuf;

use crate::stack::{self, Disks};

#[derive(Clone, Copy)]
pub enum Contestant {
    Raw,
    BareEra,
    Stack,
    StackInSnapshot,
}

const BARE: &str = "BARE";

impl Contestant {
    /// The first is the reference.
    pub const ALL: [Self; 4] = [Self::Raw, Self::BareEra, Self::Stack, Self::StackInSnapshot];

    pub fn title(self) -> &'static str {
        match self {
            Self::Raw => "raw device",
            Self::BareEra => "dm-era alone",
            Self::Stack => "era's stack",
            Self::StackInSnapshot => "during a snapshot",
        }
    }

    /// Builds it; returns the device to write to.
    pub fn begin(self, disks: &Disks, block_bytes: u64) -> anyhow::Result<PathBuf> {
        match self {
            Self::Raw => return Ok(disks.data.clone()),
            Self::BareEra => {
                stack::create_bare(BARE, disks, block_bytes)?;
                return Ok(stack::node(BARE));
            }
            Self::Stack => stack::create_stack(disks, block_bytes)?,
            Self::StackInSnapshot => {
                stack::create_stack(disks, block_bytes)?;
                stack::cut(disks)?;
            }
        }
        Ok(stack::node(stack::NAME))
    }

    /// Takes it away again; `chunks` are how many of them a snapshot must have copied.
    pub fn end(self, disks: &Disks, chunks: u64) -> anyhow::Result<()> {
        match self {
            Self::Raw => Ok(()),
            Self::BareEra => stack::remove(&[BARE]),
            Self::Stack => stack::remove_stack(),
            Self::StackInSnapshot => {
                stack::end_cut(disks, chunks)?;
                stack::remove_stack()
            }
        }
    }
}
