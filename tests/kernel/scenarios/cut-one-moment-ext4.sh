# SPDX-License-Identifier: GPL-3.0-or-later
# A copy of a live ext4 is the device at exactly one moment: fsck finds it in order, a program's records form a prefix,
# and it is what a snapshot has that somebody else made while the device was suspended.
# time limit: 400

test_one_moment "mkfs.ext4 -q" "e2fsck -fn" "e2fsck -fn" 64M 4
