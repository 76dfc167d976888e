# SPDX-License-Identifier: GPL-3.0-or-later
# Incremental backup of a live ext4: blocks of 512 KiB, stream version 1, behind a frozen filesystem.
# time limit: 600

test_incremental_backup "mkfs.ext4 -q" "e2fsck -fn" snapshot_behind_freeze 49152 1024
