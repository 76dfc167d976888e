# SPDX-License-Identifier: GPL-3.0-or-later
# A buffered read of a block device does not see what the filesystem mounted from it has written since; O_DIRECT does.

data=$(new_disk data 64M)
meta=$(new_disk meta 8M)
mkfs.ext4 -q -b 4096 "$data"
make_era vol "$data" "$meta" 128
vol=/dev/mapper/vol
mount $vol /run/mnt

random_bytes 4096 >old
random_bytes 4096 >new
dd if=old of=/run/mnt/file conv=fsync status=none
place=$(filefrag -v /run/mnt/file | awk '$1 == "0:" { sub(/\.\..*/, "", $4); print $4 }')

dd if=$vol bs=4096 skip="$place" count=1 of=buffered status=none
assert_same old buffered

dd if=new of=/run/mnt/file conv=fsync,notrunc status=none
dd if=$vol bs=4096 skip="$place" count=1 of=buffered status=none
dd if=$vol bs=4096 skip="$place" count=1 iflag=direct of=direct status=none
assert_same old buffered
assert_same new direct
