// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether a stream may go into a repository. Decided by what both say of themselves, before anything is written.

use thiserror::Error;
use uuid::Uuid;

use super::geometry::unit_bytes;
use super::manifest::Manifest;
use crate::device::cursor::Cursor;
use crate::stream::{Header, Kind};
use crate::units::Era;

/// Why not.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// A stream of `era copy` names no device.
    #[error("the stream does not say of which device it is, as those of era copy; use era apply for it")]
    Anonymous,
    /// An undo stream is part of a repository.
    #[error("the stream is an undo stream of a repository, not one of a device")]
    Undo,
    /// There must be a beginning.
    #[error("the repository has no points yet, and the stream has only what changed; begin with a full one")]
    NothingToAddTo,
    /// One repository is of one device.
    #[error(
        "the repository is of device {repository}, the stream of device {stream}; use another directory for it"
    )]
    OtherDevice {
        /// The repository's.
        repository: Uuid,
        /// The stream's.
        stream: Uuid,
    },
    /// Block sizes are for ever.
    #[error("the repository has blocks of {repository} bytes, the stream of {stream}")]
    OtherBlockSize {
        /// The repository's.
        repository: u64,
        /// The stream's.
        stream: u64,
    },
    /// Eras of different generations cannot be compared.
    #[error(
        "tracking began anew: the repository is at generation {repository}, the stream of {stream}; send everything \
         (era send --full, or era backup)"
    )]
    OtherGeneration {
        /// The repository's.
        repository: Uuid,
        /// The stream's.
        stream: Uuid,
    },
    /// Changes in between are missing.
    #[error(
        "the stream leaves a gap: it begins with era {stream}, but the repository has everything only up to era \
         {repository}; send from --since {cursor}"
    )]
    Gap {
        /// Where the repository's next increment must begin.
        repository: Era,
        /// Where the stream begins.
        stream: Era,
        /// What to ask for.
        cursor: Cursor,
    },
}

/// Whether a stream with this header may go into a repository with this manifest, if there is one yet.
pub fn admit(manifest: Option<&Manifest>, header: &Header) -> Result<(), Refused> {
    if header.kind == Kind::Undo {
        return Err(Refused::Undo);
    }
    if header.device.is_nil() || header.generation.is_nil() {
        return Err(Refused::Anonymous);
    }
    if let Some(manifest) = manifest {
        if manifest.device != header.device {
            return Err(Refused::OtherDevice { repository: manifest.device, stream: header.device });
        }
        if manifest.block_size_bytes != header.block_bytes
            || manifest.unit_bytes != unit_bytes(header.block_bytes)
        {
            return Err(Refused::OtherBlockSize {
                repository: manifest.block_size_bytes,
                stream: header.block_bytes,
            });
        }
    }
    match header.kind {
        Kind::Full => return Ok(()),
        // Whether it was compared with what is there, its end says.
        Kind::Difference => return manifest.map(drop).ok_or(Refused::NothingToAddTo),
        Kind::Increment | Kind::Undo => {}
    }
    let Some((manifest, cursor)) = manifest.and_then(|manifest| Some((manifest, manifest.cursor()?))) else {
        return Err(Refused::NothingToAddTo);
    };
    if manifest.generation != header.generation {
        return Err(Refused::OtherGeneration { repository: manifest.generation, stream: header.generation });
    }
    // Era 0 is how a stream says that it does not know.
    if header.since.0 == 0 || header.since > cursor.era {
        return Err(Refused::Gap { repository: cursor.era, stream: header.since, cursor });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::repository::manifest::Point;
    use crate::stream::Consistency;

    fn header(kind: Kind, since: u32) -> Header {
        Header {
            device: Uuid::from_u128(1),
            generation: Uuid::from_u128(2),
            device_bytes: 10_000,
            block_bytes: 4096,
            since: Era(since),
            kind,
            consistency: Consistency::Snapshot,
            time: Timestamp::UNIX_EPOCH,
        }
    }

    fn manifest() -> Manifest {
        let mut manifest = Manifest::new(Uuid::from_u128(1), Uuid::from_u128(2), 4096, 10_000);
        manifest.points.push(Point::new(1, Timestamp::UNIX_EPOCH, Consistency::Snapshot, Kind::Full, 10_000));
        manifest.era = 7;
        manifest
    }

    fn admitted(header: &Header) -> Result<(), Refused> {
        admit(Some(&manifest()), header)
    }

    #[test]
    fn an_increment_begins_where_the_repository_ends_or_earlier() {
        assert_eq!(admitted(&header(Kind::Increment, 7)), Ok(()));
        assert_eq!(admitted(&header(Kind::Increment, 1)), Ok(()));
        for since in [0, 8] {
            assert!(matches!(admitted(&header(Kind::Increment, since)), Err(Refused::Gap { .. })), "{since}");
        }
    }

    #[test]
    fn a_full_copy_is_always_welcome_but_of_another_device() {
        assert_eq!(admit(None, &header(Kind::Full, 0)), Ok(()));
        let anew = Header { generation: Uuid::from_u128(9), ..header(Kind::Full, 0) };
        assert_eq!(admitted(&anew), Ok(()));
        let other = Header { device: Uuid::from_u128(9), ..header(Kind::Full, 0) };
        assert!(matches!(admitted(&other), Err(Refused::OtherDevice { .. })));
        let blocks = Header { block_bytes: 8192, ..header(Kind::Full, 0) };
        assert!(matches!(admitted(&blocks), Err(Refused::OtherBlockSize { .. })));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(admit(None, &header(Kind::Increment, 1)), Err(Refused::NothingToAddTo));
        let empty = Manifest::new(Uuid::from_u128(1), Uuid::from_u128(2), 4096, 10_000);
        assert_eq!(admit(Some(&empty), &header(Kind::Increment, 1)), Err(Refused::NothingToAddTo));
        assert_eq!(admitted(&header(Kind::Undo, 7)), Err(Refused::Undo));
        let anew = Header { generation: Uuid::from_u128(9), ..header(Kind::Increment, 7) };
        assert!(matches!(admitted(&anew), Err(Refused::OtherGeneration { .. })));
        let nameless = Header { device: Uuid::nil(), ..header(Kind::Full, 0) };
        assert_eq!(admitted(&nameless), Err(Refused::Anonymous));
    }
}
