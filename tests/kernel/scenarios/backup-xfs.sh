# SPDX-License-Identifier: GPL-3.0-or-later
# Incremental backup of a live XFS: blocks of 64 KiB, and a compressed stream.
# time limit: 600
# needs: mkfs.xfs xfs_repair

# The tools refuse less than 300 MB, except where their own tests want it.
export TEST_DIR=x TEST_DEV=x QA_CHECK_FS=x
test_incremental_backup "mkfs.xfs -q" "xfs_repair -n -f" snapshot_behind_freeze 65536 128 --format 2 --compress 1
