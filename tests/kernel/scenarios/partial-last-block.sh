# SPDX-License-Identifier: GPL-3.0-or-later
# The last block of a device is copied right when it is smaller than the others.

block=1024
# 20 blocks and 3 sectors; the loop device must have them all.
truncate -s $((20 * block * 512 + 3 * 512)) /run/disks/data
data=$(losetup --find --show /run/disks/data)
meta=$(new_disk meta 8M)
make_era vol "$data" "$meta" $block
vol=/dev/mapper/vol
cursor=0

for options in "" "--format 2" "--format 2 --compress 3"; do
    rm -f mirror
    dd if=/dev/urandom of=$vol bs=512 seek=$((19 * block)) count=$((block + 3)) oflag=direct iflag=fullblock \
        status=none
    cursor=0
    take_snapshot vol
    copy_changes vol "$meta" mirror $block $options
    assert_same_disk $vol mirror

    # Only the last block, and in it the last sector.
    dd if=/dev/urandom of=$vol bs=512 seek=$((20 * block + 2)) count=1 oflag=direct status=none
    assert_differ $vol mirror
    take_snapshot vol
    copy_changes vol "$meta" mirror $block $options
    assert_equal 1 "$(json_number changed_blocks changed.json)" "changed blocks"
    assert_same_disk $vol mirror
done
