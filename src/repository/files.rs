// SPDX-License-Identifier: GPL-3.0-or-later
//! Points as files: what can be asked of a repository of any kind that is shown as a directory.

use jiff::Timestamp;

/// A point as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointFile {
    /// What it is called by who reads it; from 1 on, and never that of another point while the repository is open.
    pub number: u64,
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// The time of the point.
    pub time: Timestamp,
}

/// The points of a repository as files. What was told of a point, and the bytes of it, do not change.
pub trait PointFiles: Send {
    /// All, oldest first.
    fn files(&mut self) -> anyhow::Result<Vec<PointFile>>;

    /// The file with this number.
    fn file(&mut self, number: u64) -> anyhow::Result<Option<PointFile>>;

    /// The file with this name.
    fn named(&mut self, name: &str) -> anyhow::Result<Option<PointFile>>;

    /// That of the last point, where all are shown.
    fn last(&mut self) -> anyhow::Result<Option<PointFile>>;

    /// Sees to it that a file can be read.
    fn prepare(&mut self, number: u64) -> anyhow::Result<()>;

    /// Hands on bytes of a file, once; fewer where it ends. All of them were checked. An error is told on stderr as well.
    fn read_to(
        &mut self,
        number: u64,
        offset: u64,
        len: usize,
        to: &mut dyn FnMut(&[u8]),
    ) -> anyhow::Result<()>;

    /// Called after something was read, when there is time to fetch what will be asked for next.
    fn read_ahead(&mut self, number: u64, offset: u64, len: usize);
}
