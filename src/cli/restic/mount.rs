// SPDX-License-Identifier: GPL-3.0-or-later
//! `era mount restic:URL DIR`.

use anyhow::Context;

use super::place::{Place, index, open_and_list};
use crate::repository::files::PointFiles;
use crate::restic::files::Files;
use crate::restic::points::{choose, find};

/// What is to be mounted, and how messages call the repository.
pub(crate) fn files(place: &Place, device: Option<&str>) -> anyhow::Result<(Box<dyn PointFiles>, String)> {
    let (opened, devices) = open_and_list(&place.url)?;
    let name = || opened.name.clone();
    let (points, are_all) = match &place.which {
        None => (choose(devices, device).with_context(name)?.points, true),
        Some(which) => {
            let (mut device, at) = find(devices, device, which).with_context(name)?;
            (vec![device.points.swap_remove(at)], false)
        }
    };
    let (repository, archive) = index(opened)?;
    Ok((Box::new(Files::new(&archive, &repository, points, are_all)), repository))
}
