# SPDX-License-Identifier: GPL-3.0-or-later
# era_apply does not touch a destination that somebody uses, and says so before it reads the stream; nor does `era
# changed` read the metadata of an active device as if it were not.

block=128
data=$(new_disk data 64M)
meta=$(new_disk meta 8M)
target=$(new_disk target 64M)
make_era vol "$data" "$meta" $block
write_blocks /dev/mapper/vol $block 3 1
take_snapshot vol
era changed --metadata "$meta" --metadata-snapshot --since 1 --format xml >changed.xml
era_copy $block /dev/mapper/vol <changed.xml >stream

# assert_refused DEVICE: with a stdin that has the stream left when era_apply is done.
assert_refused() {
    cp "$1" before
    exec 8<stream
    assert_exit 2 era_apply "$1" <&8
    assert_message "$1"
    cat <&8 >unread
    exec 8<&-
    assert_same stream unread
    assert_same_disk before "$1"
}

mkfs.ext4 -q "$target"
# Read-only, so that the filesystem does not change it either.
mount -o ro "$target" /run/mnt
assert_refused "$target"
umount /run/mnt

dmsetup create holder --table "0 $(sectors_of "$target") linear $target 0"
assert_refused "$target"
dmsetup remove holder

# Free again, it is a destination.
era_apply "$target" <stream
read_blocks /dev/mapper/vol $block 3 1 >expected
read_blocks "$target" $block 3 1 >got
assert_same expected got

# The data below a tracker is never a destination, and metadata in use are not read offline.
assert_refused "$data"
assert_exit 2 era changed --metadata "$meta" --since 1
assert_message "$meta"
drop_snapshot vol
dmsetup remove vol
era changed --metadata "$meta" --since 1
