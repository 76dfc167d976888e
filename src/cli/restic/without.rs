// SPDX-License-Identifier: GPL-3.0-or-later
//! What stands for the commands in a program that was built without them: there is never a place to call them with.

use std::convert::Infallible;
use std::ffi::OsStr;

use super::{Question, url_of};
use crate::cli::{restore, verify};
use crate::repository::files::PointFiles;
use crate::repository::retention::Keep;

type Place = Infallible;

/// Nothing, or the error that says why.
pub(in crate::cli) fn place_of(text: &OsStr) -> anyhow::Result<Option<Place>> {
    match url_of(text)? {
        None => Ok(None),
        Some(url) => match url {},
    }
}

pub(in crate::cli) fn points(place: &Place, _: &Question) -> anyhow::Result<bool> {
    match *place {}
}

pub(in crate::cli) fn restore(place: &Place, _: &restore::Args) -> anyhow::Result<()> {
    match *place {}
}

pub(in crate::cli) fn files(place: &Place, _: Option<&str>) -> anyhow::Result<(Box<dyn PointFiles>, String)> {
    match *place {}
}

pub(in crate::cli) fn verify(place: &Place, _: &verify::Args) -> anyhow::Result<bool> {
    match *place {}
}

pub(in crate::cli) fn prune(place: &Place, _: Option<&str>, _: &Keep, _: bool) -> anyhow::Result<()> {
    match *place {}
}

pub(in crate::cli) fn hashes(place: &Place, _: Option<u64>, _: Option<u64>) -> anyhow::Result<bool> {
    match *place {}
}
