# SPDX-License-Identifier: GPL-3.0-or-later
# A sector of the image cannot be read, and the device has other data there by now: no backup can keep what it replaces. Repairing
# gives it up: the new point has what the device has, and the older ones know what they have lost.
# needs: filefrag
# time limit: 120

repo=/run/disk/repo
block=65536
disk=$(new_disk repo 96M)
sectors=$(sectors_of "$disk")
modprobe -a dm-dust
dmsetup create dust --table "0 $sectors dust $disk 0 4096"
mkfs.ext4 -q -b 4096 /dev/mapper/dust
mkdir /run/disk
mount /dev/mapper/dust /run/disk
create_stack vol 16M 32M --block-size 64K
write_blocks /dev/mapper/vol 128 0 100
era backup vol $repo
write_blocks /dev/mapper/vol 128 10 5
era backup vol $repo

write_blocks /dev/mapper/vol 128 50 4
sync
address=$(filefrag -v $repo/image | tr -d ':.' | awk -v "wanted=$((51 * 16 + 2))" \
    '$1 ~ /^[0-9]+$/ && $2 <= wanted && wanted <= $3 { print $4 + wanted - $2 }')
[ -n "$address" ] || fail "the image has nothing there"
dmsetup message dust 0 addbadblock "$address"
dmsetup message dust 0 enable
dd if=$repo/image iflag=nocache count=0 status=none

assert_exit 2 era backup vol $repo
assert_message "cannot be read (era verify REPO SOURCE --repair gives it up"
# Nothing differs that was not written since, and yet something is wrong.
assert_exit 1 era verify $repo vol
assert_message "the image is damaged where the device was written since"
assert_exit 0 era verify $repo vol --repair
era restore $repo restored
assert_same_disk "$data" restored
assert_exit 1 era verify $repo
assert_equal "bytes $((51 * block)) to $((52 * block - 1)) of the device" \
    "$(grep -o "bytes [0-9]* to [0-9]* of the device" stdout)" "what is lost"
has_line "undo/2-3: point 2: " stdout || fail "$(<stdout)"
write_blocks /dev/mapper/vol 128 51 1
assert_exit 0 era backup vol $repo
era restore --force $repo restored
# Past the page cache, which has what was read before.
dd if=/dev/mapper/vol of=now bs=1M iflag=direct status=none
assert_same_disk now restored
