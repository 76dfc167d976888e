# SPDX-License-Identifier: GPL-3.0-or-later
# A copy of a live XFS is the device at exactly one moment: xfs_repair finds it in order, a program's records form a
# prefix, and it is what a snapshot has that somebody else made while the device was suspended.
# needs: mkfs.xfs xfs_repair
# time limit: 400

# Frozen, XFS leaves a record in its log for a crash meanwhile, which mounting it replays.
test_one_moment "mkfs.xfs -q" true "xfs_repair -n" 320M 2 nouuid
