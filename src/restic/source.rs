// SPDX-License-Identifier: GPL-3.0-or-later
//! The device as rustic reads it: entries that a thread ([`walk`](super::walk)) hands over, in the order of the device.

use std::ffi::OsStr;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{IntoIter, Receiver};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rustic_core::repofile::{Metadata, Node, NodeType};
use rustic_core::{ErrorKind, ReadSource, ReadSourceEntry, ReadSourceOpen, RusticError, RusticResult};

use super::layout::{entry_name, image_name};

/// An entry as rustic takes it.
pub type Entry = ReadSourceEntry<Contents>;

/// What an entry holds, should rustic ask for it.
#[derive(Debug)]
pub enum Contents {
    /// A segment.
    Bytes(Vec<u8>),
    /// A segment of zeros.
    Zeros(u64),
    /// One that has not changed. That it is asked for means that the repository does not have it any more, which is noted here.
    Unchanged(Arc<AtomicBool>),
}

impl ReadSourceOpen for Contents {
    type Reader = Box<dyn Read + Send>;

    fn open(self) -> RusticResult<Self::Reader> {
        match self {
            Contents::Bytes(bytes) => Ok(Box::new(Cursor::new(bytes))),
            Contents::Zeros(len) => Ok(Box::new(io::repeat(0).take(len))),
            Contents::Unchanged(lost) => {
                lost.store(true, Ordering::SeqCst);
                Err(RusticError::new(ErrorKind::Repository, LOST))
            }
        }
    }
}

/// What is said of a segment that is not there any more.
const LOST: &str = "a segment that has not changed is missing from the repository";

/// The modification time of what holds zeros, and of folders: the same everywhere, so that the same contents are the same tree.
pub const FIXED_TIME: Timestamp = Timestamp::UNIX_EPOCH;

/// restic writes modes as Go does.
const FOLDER_MODE: u32 = 1 << 31 | 0o700;

/// The node of a segment.
pub fn segment_node(level: usize, entry: u64, time: Timestamp, size: u64) -> Node {
    let meta = Metadata { mode: Some(0o600), mtime: Some(time), size, ..Metadata::default() };
    Node::new_node(OsStr::new(&entry_name(level, entry)), NodeType::File, meta)
}

/// The node of a folder.
pub fn folder_node(level: usize, entry: u64) -> Node {
    named_folder(&entry_name(level, entry))
}

/// The node of the topmost folder.
pub fn image_node(device: &str) -> Node {
    named_folder(&image_name(device))
}

fn named_folder(name: &str) -> Node {
    let meta = Metadata { mode: Some(FOLDER_MODE), mtime: Some(FIXED_TIME), ..Metadata::default() };
    Node::new_node(OsStr::new(name), NodeType::Dir, meta)
}

/// A segment in a folder.
pub fn segment(folder: &Path, node: Node, contents: Contents) -> Entry {
    Entry { path: folder.join(node.name()), node, open: Some(contents) }
}

/// A folder whose entries follow.
pub fn folder(path: PathBuf, node: Node) -> Entry {
    Entry { path, node, open: None }
}

/// A folder that is taken over with all that is below it: the node has its tree.
///
/// It is given the path of the folder that it is *in*. As rustic has that one open already, it takes the node for one more entry of
/// it, not for a folder that it should go into, and writes it as it is. That this is so, the tests show, and each backup: it counts
/// what rustic has written (`backup`), and would count less if rustic went in.
pub fn taken(within: &Path, node: Node) -> Entry {
    Entry { path: within.to_owned(), node, open: None }
}

/// All entries, once.
pub struct Source(Mutex<Option<Receiver<RusticResult<Entry>>>>);

impl Source {
    /// Those that are sent.
    pub fn new(entries: Receiver<RusticResult<Entry>>) -> Self {
        Self(Mutex::new(Some(entries)))
    }
}

impl ReadSource for Source {
    type Open = Contents;
    type Iter = IntoIter<RusticResult<Entry>>;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Self::Iter {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Asked for twice, there is nothing more: what was written is counted.
        entries.unwrap_or_else(|| std::sync::mpsc::sync_channel(0).1).into_iter()
    }
}
