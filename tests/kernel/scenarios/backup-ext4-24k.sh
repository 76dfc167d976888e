# SPDX-License-Identifier: GPL-3.0-or-later
# Incremental backup of a live ext4: blocks of 24 KiB, no power of two, and a last block of 10 KiB.
# time limit: 600

test_incremental_backup "mkfs.ext4 -q" "e2fsck -fn" snapshot_before_suspend 40978 48
