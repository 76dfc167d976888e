// SPDX-License-Identifier: GPL-3.0-or-later
//! A device whose dm-era had to be taken out, as it could not be resumed (`cut::emergency`): a linear table in its place.
//!
//! What is written from then on is noted nowhere, so cursors of before are of no use: a new generation is written to the
//! header. That comes after the linear table, as writing may take its time on a disk that is failing, and everything on
//! the device would wait. Whoever finds the table does it; a mark in /run says that it is done. `era open` puts
//! dm-era back in its place, with new metadata.
//!
//! A bare device has no header. The mark makes our commands refuse it, also with dm-era on it again.

use anyhow::{Context, bail};
use uuid::Uuid;

use super::disk::{Disk, path_of};
use super::dm::Dm;
use super::header;
use super::stack::Layer;
use super::table::Target;
use super::traces::{Mark, Traces};
use crate::report;

/// Whether a device that is or was dm-era passes everything on, untracked.
pub fn is_out(dm: &Dm, name: &str) -> anyhow::Result<bool> {
    let live = dm.state(name)?.is_some_and(|state| state.live);
    Ok(live && matches!(dm.table(name), Ok((_, Target::Linear { .. }))))
}

/// Sees to it that old cursors are refused from now on, and tells. Does it once; nothing where the device is tracked.
/// `stack` is the uuid of a device of ours.
pub fn see_to(dm: &Dm, name: &str, stack: Option<Uuid>) -> anyhow::Result<()> {
    let traces = Traces::of(name);
    if !is_out(dm, name)? {
        // Put back by hand: the generation that has begun is tracked from now on.
        return if stack.is_some() { traces.wipe(Mark::Untracked) } else { Ok(()) };
    }
    if traces.has(Mark::Untracked) {
        return Ok(());
    }
    report::warn(format_args!("{}", problem(name, stack.is_some())));
    if stack.is_some() {
        begin_generation(dm, name).with_context(|| {
            format!(
                "{name}: old cursors could not be made invalid, as its metadata device cannot be written; before the \
                 machine is started again, see to that device and run `era open {name}`, or make the next backup a full \
                 one, without --since"
            )
        })?;
    }
    traces.leave(Mark::Untracked)
}

/// What has happened, and the cure.
pub fn problem(name: &str, stack: bool) -> String {
    let what = format!(
        "{name}: NOT TRACKED: dm-era could not be resumed, as its metadata device is full or has failed, and was taken \
         out so that I/O goes on; the kernel's log says more"
    );
    if stack {
        format!(
            "{what}. See to the metadata device, then `era open {name}` begins to track it anew, while it is in use; \
             every backup makes a full pass next"
        )
    } else {
        format!(
            "{what}. See to the metadata device, overwrite its first 4 KiB with zeros, put dm-era on {name} again, remove \
             {}, and make a full copy next",
            Traces::of(name).path(Mark::Untracked).display()
        )
    }
}

/// Refuses a device that is not tracked, or was not for a time.
pub fn refuse(dm: &Dm, name: &str, stack: bool) -> anyhow::Result<()> {
    let is_out = is_out(dm, name)?;
    if is_out || (!stack && Traces::of(name).has(Mark::Untracked)) {
        bail!("{}", problem(name, stack));
    }
    Ok(())
}

/// With the kernel's metadata as they are: that only costs a full pass.
fn begin_generation(dm: &Dm, name: &str) -> anyhow::Result<()> {
    let layer = Layer::Metadata.name(name);
    let (_, Target::Linear { device, .. }) = dm.table(&layer)? else {
        bail!("{layer}: is not linear");
    };
    let path = path_of(device)?;
    let disk = Disk::open_held(&path)?;
    let (source, target) = disk.halves();
    let mut header = header::read(source).with_context(|| path.display().to_string())?.header;
    header.generation = Uuid::new_v4();
    header.growth = None;
    if let Some(note) = header::write(&mut header, source, target)? {
        report::warn(format_args!("{}: {note}", path.display()));
    }
    Ok(())
}
