// SPDX-License-Identifier: GPL-3.0-or-later
//! Sizes as people give them: 512K, 1G, 64MiB. All of them binary, as in lsblk, lvcreate and dd.

use bytesize::ByteSize;

/// Reads a size in bytes.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let bad = || {
        format!(
            "{text:?} is no size; sizes are numbers of bytes, or with K, M, G or T for powers of 1024, such as 512K"
        )
    };
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = match unit.to_ascii_uppercase().as_str() {
        "" => "B".into(),
        unit @ ("K" | "M" | "G" | "T") => format!("{unit}iB"),
        unit @ ("KIB" | "MIB" | "GIB" | "TIB") => format!("{}iB", &unit[..1]),
        // KB is a thousand to some and 1024 to others.
        _ => return Err(bad()),
    };
    // The library computes with floating point: exact up to 2^53, far beyond any number that makes sense here.
    number.parse::<u64>().ok().filter(|&n| n < 1 << 53).ok_or_else(bad)?;
    format!("{number}{unit}").parse::<ByteSize>().map(|size| size.as_u64()).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_binary() {
        for (text, bytes) in
            [("0", 0), ("4096", 4096), ("64K", 65536), ("512KiB", 524_288), ("1g", 1 << 30), ("2T", 2 << 40)]
        {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for bad in [
            "",
            "K",
            "64KB",
            "64kb",
            "1.5G",
            "-1",
            "64 K",
            "64X",
            "99999999999999999999",
            "18014398509481985",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
