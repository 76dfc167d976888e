# SPDX-License-Identifier: GPL-3.0-or-later
# Incremental backup of a live ext4: blocks of 64 KiB, stream version 2, suspended instead of frozen.
# time limit: 600

test_incremental_backup "mkfs.ext4 -q" "e2fsck -fn" snapshot_before_suspend 49152 128 --format 2
