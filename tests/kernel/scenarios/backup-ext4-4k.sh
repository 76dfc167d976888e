# SPDX-License-Identifier: GPL-3.0-or-later
# Incremental backup of a live ext4: blocks of 4 KiB, the smallest, and a compressed stream.
# time limit: 600

test_incremental_backup "mkfs.ext4 -q" "e2fsck -fn" snapshot_behind_freeze 32768 8 --format 2 --compress 1
