# SPDX-License-Identifier: GPL-3.0-or-later
# dm-era marks only the first block of a discard over many. With our stack there are no discards: nothing changes
# that is not tracked. Whoever asks for them gets them, and is told what that means.

own_etc
data=$(new_disk data 64M)
meta=$(new_disk meta 16M)
era create vol --data "$data" --meta "$meta"
mkfs.ext4 -q -E discard /dev/mapper/vol
mount -o discard /dev/mapper/vol /run/mnt
random_bytes $((24 << 20)) >/run/mnt/file
sync
cursor=
send vol mirror

# Nothing that frees space reaches the disk unseen.
rm /run/mnt/file
sync
assert_exit 1 fstrim /run/mnt
assert_message "not supported"
assert_exit 1 blkdiscard --offset 0 --length $((32 << 20)) --force /dev/mapper/vol
assert_message "not supported"
send vol mirror
umount /run/mnt
send vol mirror
assert_same_disk /dev/mapper/vol mirror
assert_same_disk /run/disks/data mirror
# Zeros that are written are writes.
blkdiscard --zeroout --offset $((8 << 20)) --length $((8 << 20)) /dev/mapper/vol
assert_equal "16 32" "$(era changed vol --since "$cursor")" "marks of written zeros"
# It stays so while there is a snapshot, which changes the layer below, and after it.
send vol mirror
assert_exit 1 blkdiscard --offset 0 --length $((32 << 20)) --force /dev/mapper/vol
assert_same_disk /dev/mapper/vol mirror
era status vol >status
grep "discards *off" status

# Asked for, they pass.
era close vol
sed -i 's/-$/discards/' /etc/eratab
era open vol
era status vol >status
grep "discards *passed on: .*not mirrored" status
dd if=/dev/urandom of=/dev/mapper/vol bs=1M count=32 oflag=direct status=none
blkdiscard --offset 0 --length $((32 << 20)) /dev/mapper/vol
assert_equal "" "$(head -c $((32 << 20)) /run/disks/data | tr -d '\0' | head -c 1)" "what is left of what was discarded"
era close vol
sed -i 's/discards$/-/' /etc/eratab
era open vol
assert_exit 1 blkdiscard /dev/mapper/vol
