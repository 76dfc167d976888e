// SPDX-License-Identifier: GPL-3.0-or-later
//! A repository is compared with the device that it is of: only hashes go from one to the other. What has changed since
//! the last point is left out, as the next one will have it.

use std::process::Stdio;

use anyhow::{Context, bail};

use super::child::Worker;
use super::peer::{Peer, Reach};
use super::place::SourcePlace;
use crate::stream::{self, AUDIT, Audit, Header, Visitor};
use crate::units::Extent;

/// What came of it.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Of what was not written since the last point.
    pub audit: Audit,
    /// Whether the image holds all that it should, also where that was written since.
    pub image_is_whole: bool,
}

/// Compares everything. `hashes` has `era hashes`, on this machine, say what the repository has at this cursor.
pub fn compare(
    source: &SourcePlace,
    hashes: &[String],
    cursor: &str,
    reach: &Reach,
) -> anyhow::Result<Compared> {
    let (here, there) = (Peer::new(None, reach.clone()), Peer::new(source.host.clone(), reach.clone()));
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let hashes = here.era(&[&words(&["hashes"]), hashes].concat());
    let mut list = Worker::start("era hashes".into(), hashes, Some(Stdio::null()), true)?;
    let stdin = list.stdout.take().context("era hashes has no output")?;
    let send =
        there.era(&words(&["send", source.name.as_str(), "--since", cursor, "--audit", "--audit-only"]));
    let what = format!("era send on {}", there.name());
    let mut sender = Worker::start(what, send, Some(stdin.into()), false)?;
    let output = sender.stdout.take().context("era send has no output")?;
    let mut found = Found(None);
    let read = stream::read(output, &mut found);
    let (sender, list) = (sender.wait()?, list.wait()?);
    let image_is_whole = list.lost_its_reader() || list.answer()?;
    if sender.code() == Some(1) {
        bail!(
            "{}: tracking began anew since the last point; make a backup first, which compares everything itself",
            source.name
        );
    }
    sender.check()?;
    read.context(sender.what)?;
    let audit = found.0.with_context(|| format!("era on {} is too old to compare", there.name()))?;
    Ok(Compared { audit, image_is_whole })
}

/// Takes the one record out of a stream that holds nothing else.
struct Found(Option<Audit>);

impl Visitor for Found {
    fn begin(&mut self, _header: Option<&Header>) -> anyhow::Result<()> {
        Ok(())
    }

    fn data(&mut self, _offset: u64, _bytes: &[u8]) -> anyhow::Result<()> {
        bail!("the stream holds data")
    }

    fn zeros(&mut self, _extent: Extent) -> anyhow::Result<()> {
        bail!("the stream holds data")
    }

    fn optional(&mut self, kind: u32, payload: &[u8]) -> anyhow::Result<()> {
        if kind == AUDIT {
            self.0 = Some(Audit::unpack(payload)?);
        }
        Ok(())
    }
}
