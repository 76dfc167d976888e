// SPDX-License-Identifier: GPL-3.0-or-later
//! The kernel's questions, answered: one directory, a file for each point, and `latest`.
//!
//! | inode | what it is |
//! | --- | --- |
//! | 1 | the directory |
//! | 2 | `latest`, a symbolic link to the last point |
//! | 2 + N | point N: points are numbered from 1 |
//!
//! A point never changes: what the kernel has read of it, it may keep.

use std::ffi::OsStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags, ReplyAttr,
    ReplyData, ReplyDirectory, ReplyEntry, ReplyOpen, Request,
};

use crate::report;
use crate::repository::files::{PointFile, PointFiles};

const LATEST: &str = "latest";
const LATEST_INODE: INodeNo = INodeNo(2);

/// How long the kernel may believe what it was told of a point.
const OF_POINT: Duration = Duration::from_secs(60);
/// And of everything else.
const OF_OTHERS: Duration = Duration::ZERO;

/// What answers.
pub struct Filesystem {
    points: Mutex<Box<dyn PointFiles>>,
    /// Whether others than who has mounted it may read.
    shared: bool,
    since: SystemTime,
}

impl Filesystem {
    /// Shows these.
    pub fn new(points: Box<dyn PointFiles>, shared: bool) -> Self {
        Self { points: Mutex::new(points), shared, since: SystemTime::now() }
    }

    /// Of a panic nothing is left half done that matters: what is cached was checked.
    fn points(&self) -> MutexGuard<'_, Box<dyn PointFiles>> {
        self.points.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attr(&self, ino: INodeNo, kind: FileType, size: u64, time: SystemTime) -> FileAttr {
        let everyone = if self.shared { 0o444 } else { 0o400 };
        FileAttr {
            ino,
            size,
            blocks: size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm: match kind {
                FileType::Directory if self.shared => 0o555,
                FileType::Directory => 0o500,
                FileType::Symlink => 0o777,
                _ => everyone,
            },
            nlink: if kind == FileType::Directory { 2 } else { 1 },
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            rdev: 0,
            // What is read at once where a program asks.
            blksize: 1 << 17,
            flags: 0,
        }
    }

    fn of_directory(&self) -> FileAttr {
        self.attr(INodeNo::ROOT, FileType::Directory, 0, self.since)
    }

    fn of_point(&self, point: &PointFile) -> FileAttr {
        let inode = INodeNo(inode_of(point.number));
        self.attr(inode, FileType::RegularFile, point.bytes, point.time.into())
    }

    fn of_latest(&self, point: &PointFile) -> FileAttr {
        self.attr(LATEST_INODE, FileType::Symlink, point.name.len() as u64, point.time.into())
    }

    /// Attributes of what has this inode, and how long they hold.
    fn find(&self, inode: INodeNo) -> anyhow::Result<Option<(FileAttr, Duration)>> {
        let mut points = self.points();
        Ok(match inode {
            INodeNo::ROOT => Some((self.of_directory(), OF_OTHERS)),
            LATEST_INODE => points.last()?.map(|point| (self.of_latest(&point), OF_OTHERS)),
            _ => points.file(point_of(inode))?.map(|point| (self.of_point(&point), OF_POINT)),
        })
    }

    fn find_name(&self, name: &OsStr) -> anyhow::Result<Option<(FileAttr, Duration)>> {
        let Some(name) = name.to_str() else { return Ok(None) };
        if name == LATEST {
            return self.find(LATEST_INODE);
        }
        Ok(self.points().named(name)?.map(|point| (self.of_point(&point), OF_POINT)))
    }

    /// What is in the directory: the place after each, its inode, kind and name. A place stays the same when points come.
    fn entries(&self) -> anyhow::Result<Vec<(u64, INodeNo, FileType, String)>> {
        let mut points = self.points();
        let mut entries = vec![
            (1, INodeNo::ROOT, FileType::Directory, ".".into()),
            (2, INodeNo::ROOT, FileType::Directory, "..".into()),
        ];
        if points.last()?.is_some() {
            entries.push((3, LATEST_INODE, FileType::Symlink, LATEST.into()));
        }
        for point in points.files()? {
            let inode = inode_of(point.number);
            entries.push((inode + 1, INodeNo(inode), FileType::RegularFile, point.name));
        }
        Ok(entries)
    }
}

fn inode_of(point: u64) -> u64 {
    LATEST_INODE.0 + point
}

fn point_of(inode: INodeNo) -> u64 {
    inode.0.saturating_sub(LATEST_INODE.0)
}

/// What the kernel gets for an error of ours. Reading a unit has told of it; the others are told of here.
fn told(error: &anyhow::Error) -> Errno {
    report::fail(format_args!("{error:#}"));
    Errno::EIO
}

impl fuser::Filesystem for Filesystem {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if parent != INodeNo::ROOT {
            return reply.error(Errno::ENOTDIR);
        }
        match self.find_name(name) {
            Ok(Some((attr, validity))) => reply.entry(&validity, &attr, Generation(0)),
            Ok(None) => reply.error(Errno::ENOENT),
            Err(e) => reply.error(told(&e)),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.find(inode) {
            Ok(Some((attr, validity))) => reply.attr(&validity, &attr),
            Ok(None) => reply.error(Errno::ENOENT),
            Err(e) => reply.error(told(&e)),
        }
    }

    fn readlink(&self, _: &Request, inode: INodeNo, reply: ReplyData) {
        if inode != LATEST_INODE {
            return reply.error(Errno::EINVAL);
        }
        match self.points().last() {
            Ok(Some(point)) => reply.data(point.name.as_bytes()),
            Ok(None) => reply.error(Errno::ENOENT),
            Err(e) => reply.error(told(&e)),
        }
    }

    fn open(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.points().prepare(point_of(inode)) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(e) => reply.error(told(&e)),
        }
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let (mut points, point, len) = (self.points(), point_of(inode), size as usize);
        let mut reply = Some(reply);
        let answered = points.read_to(point, offset, len, &mut |bytes| {
            if let Some(reply) = reply.take() {
                reply.data(bytes);
            }
        });
        match (answered, reply) {
            (Err(_), Some(reply)) => reply.error(Errno::EIO),
            _ => points.read_ahead(point, offset, len),
        }
    }

    fn readdir(&self, _: &Request, inode: INodeNo, _: FileHandle, after: u64, mut reply: ReplyDirectory) {
        if inode != INodeNo::ROOT {
            return reply.error(Errno::ENOTDIR);
        }
        match self.entries() {
            Ok(entries) => {
                for (place, inode, kind, name) in entries.into_iter().filter(|(place, ..)| *place > after) {
                    if reply.add(inode, place, kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(e) => reply.error(told(&e)),
        }
    }
}
