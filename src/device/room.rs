// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether dm-era's metadata have room for what a command is about to make it do.
//!
//! A resume begins an era, and so does a metadata snapshot. Where the metadata have no room for that, a resume
//! fails, and the device stays suspended; after a metadata snapshot, writes fail.

use anyhow::bail;

use super::sizing::rollover_blocks_needed;
use super::table::EraStatus;
use super::tracked::Tracked;

/// Refuses where the room that is left is too small for an era to end and the next to begin.
pub fn check(tracked: &Tracked, status: &EraStatus) -> anyhow::Result<()> {
    let (name, EraStatus { used, total, .. }) = (&tracked.name, *status);
    let free = total.saturating_sub(used);
    let needed = rollover_blocks_needed(tracked.bytes.div_ceil(tracked.block_size.bytes()), total);
    if free >= needed {
        return Ok(());
    }
    let cure = match status.snapshot {
        Some(_) => {
            format!("drop the metadata snapshot that is held (dmsetup message {name} 0 drop_metadata_snap)")
        }
        None => "track it anew with a larger metadata device, or with larger blocks".into(),
    };
    bail!(
        "{name}: its metadata are nearly full: {used} of {total} blocks of 4 KiB are in use, {free} are free; at worst \
         {needed} are needed to begin an era, and without them the device could not be resumed: {cure}"
    )
}
