// SPDX-License-Identifier: GPL-3.0-or-later
//! What one may want to turn. The sizes of the disks and the time limit are at the head of `tracked_device.sh`.

pub const KIB: u64 = 1 << 10;
pub const MIB: u64 = 1 << 20;

/// Rounds that count; a warm-up comes first.
pub const ROUNDS: usize = 11;

/// The block sizes of dm-era; a table each.
pub const ERA_BLOCKS: [u64; 2] = [512 * KIB, 64 * KIB];

/// What the snapshot copies at a time before the origin is written to.
pub const CHUNK: u64 = 64 * KIB;

/// Random writes: the size of most databases' and filesystems' blocks.
pub const RANDOM_WRITE: u64 = 4 * KIB;

/// Random writes of programs that have many under way, and how many of them: one to a block of dm-era.
pub const MANY_IN_FLIGHT: usize = 32;
pub const MANY_WRITES: usize = 1024;

/// Random writes of a program that waits for each.
pub const SINGLE_WRITES: usize = 512;

/// Sequential writes: from the beginning of the disk up to `SEQUENTIAL_BYTES`; the random ones lie behind that.
pub const SEQUENTIAL_WRITE: u64 = MIB;
pub const SEQUENTIAL_IN_FLIGHT: usize = 4;
pub const SEQUENTIAL_BYTES: u64 = 192 * MIB;

/// How often the same places are written again, once they are marked: enough to be timed well.
pub const MANY_PASSES: usize = 4;
pub const SINGLE_PASSES: usize = 2;
