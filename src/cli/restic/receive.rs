// SPDX-License-Identifier: GPL-3.0-or-later
//! `era receive restic:URL`: a stream on stdin becomes a snapshot.

use anyhow::Context;

use super::Url;
use crate::device::eratab::Name;
use crate::device::failpoint;
use crate::report;
use crate::restic::backup::{Added, Target};
use crate::restic::open::{open, open_or_make};
use crate::sys::raw_stdin;

/// Adds the stream as a snapshot of the device of that name. `init` says whether a repository is made where there is none.
pub(crate) fn receive(url: &Url, name: Option<&Name>, init: bool) -> anyhow::Result<()> {
    let name = name
        .context("a stream has no name of its device; give the one that it is to have, with --name NAME")?;
    failpoint::arm();
    let opened = if init { open_or_make(url)?.0 } else { open(url)? };
    let mut target = Target::new(opened)?;
    let added = target.add(name.as_str(), raw_stdin(), |_| (), || Ok(()))?;
    tell(target.name(), &added);
    Ok(())
}

fn tell(repository: &str, added: &Added) {
    let Added { snapshot, segments, opened, .. } = added;
    report::note(format_args!(
        "{repository}: snapshot {}: {segments} segments came, {opened} were read, {} are new, {} of them trees; {} uploaded",
        snapshot.file.id,
        report::size(added.added_bytes + added.added_tree_bytes),
        report::size(added.added_tree_bytes),
        report::size(added.uploaded_bytes)
    ));
}
