// SPDX-License-Identifier: GPL-3.0-or-later
//! Cursors: how far a copy of a tracked device is up to date.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use uuid::Uuid;

use crate::units::Era;

/// The first era that a copy does not cover, of which life of the metadata. Written `GENERATION:ERA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The life of the metadata: eras of different ones cannot be compared.
    pub generation: Uuid,
    /// Everything written before it is in the copy.
    pub era: Era,
}

/// A text that is no cursor.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no cursor; one is GENERATION:ERA, as `era send` prints it: a uuid, a colon and a number")]
pub struct BadCursor(String);

/// A cursor of other metadata than the device has now.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "the cursor is of generation {cursor}, the device's is {device}: tracking was begun anew after the cursor was \
     taken, or it is of another device; a full copy is needed"
)]
pub struct OtherGeneration {
    /// The cursor's.
    pub cursor: Uuid,
    /// The device's.
    pub device: Uuid,
}

impl Cursor {
    /// The era, if the cursor is of this generation.
    pub fn era_in(&self, generation: Uuid) -> Result<Era, OtherGeneration> {
        if self.generation == generation {
            Ok(self.era)
        } else {
            Err(OtherGeneration { cursor: self.generation, device: generation })
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.generation, self.era)
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let parse = || {
            let (generation, era) = text.split_once(':')?;
            Some(Self { generation: generation.parse().ok()?, era: era.parse().ok()? })
        };
        parse().ok_or_else(|| BadCursor(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip() {
        let text = "0b1d6f3e-5b0f-4a1e-9f83-6f3c0f6f4c11:57";
        let cursor: Cursor = text.parse().unwrap();
        assert_eq!(cursor.era, Era(57));
        assert_eq!(cursor.to_string(), text);
        for bad in [
            "",
            "57",
            "x:57",
            "0b1d6f3e-5b0f-4a1e-9f83-6f3c0f6f4c11:",
            &format!("{text}:1"),
            &format!("{text}x"),
        ] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_cursor_of_another_generation_is_refused() {
        let cursor = Cursor { generation: Uuid::from_u128(1), era: Era(7) };
        assert_eq!(cursor.era_in(Uuid::from_u128(1)), Ok(Era(7)));
        assert!(cursor.era_in(Uuid::from_u128(2)).unwrap_err().to_string().contains("a full copy is needed"));
    }
}
