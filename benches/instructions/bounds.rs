// SPDX-License-Identifier: GPL-3.0-or-later
//! The most instructions that a loop may take for each byte, block or run: at most a fifth above what was counted on x86-64 when
//! the bound was set, so that neither another compiler nor another processor of that kind makes it fail.
//!
//! Who makes a loop faster lowers its bound. Checksums and compression by themselves are not here: they are other people's,
//! and take another way on each processor.

pub const MOST: [(&str, f64); 6] = [
    ("v2_encode", 4.75),
    ("v2_encode_zeros", 0.34),
    ("v2_decode", 4.9),
    ("changed_by_array", 14.0),
    ("changed_by_writesets", 1.23),
    ("runs_merged", 285.0),
];
