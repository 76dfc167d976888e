# SPDX-License-Identifier: GPL-3.0-or-later
# Both disks are set back to an older state together, as snapshots of virtual machines do. Nothing on them tells, so it
# is the user who begins a new generation: then no cursor of before is taken.

create_stack vol 4M 4M --cow-size 0
cursor=
send vol mirror
era close --meta "$meta"
cp /run/disks/vol-data old-data
cp /run/disks/vol-meta old-meta
era open --meta "$meta"
write_blocks /dev/mapper/vol 1024 5 1
send vol mirror
era close --meta "$meta"
dd if=old-data of="$data" bs=1M oflag=direct status=none
dd if=old-meta of="$meta" bs=1M oflag=direct status=none
era open --meta "$meta" --new-generation 2>said
grep "tracking starts a new generation.*: as you asked for" said
assert_exit 1 era send vol --since "$cursor"
assert_message "the cursor is of generation .*a full copy is needed"
cursor=
send vol mirror
assert_same_disk "$data" mirror
