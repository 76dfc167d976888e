// SPDX-License-Identifier: GPL-3.0-or-later
//! Incremental backups of raw block devices with dm-era.
