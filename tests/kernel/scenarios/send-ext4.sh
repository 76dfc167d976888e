# SPDX-License-Identifier: GPL-3.0-or-later
# A live ext4 on a tracked device is sent, in full and then in increments, with each consistency. A copy of one moment
# is a filesystem in order; the last, without a writer, is the device, bit for bit.

create_stack vol 64M 32M
mkfs.ext4 -q /dev/mapper/vol
mount /dev/mapper/vol /run/mnt
start_writer /run/mnt
cursor=
for round in 1 2 3; do
    for consistency in snapshot freeze none; do
        let_writer_work 3
        send vol mirror --consistency $consistency
        cat said
        assert_nothing_left vol
        [ $consistency = none ] || e2fsck -fn mirror
    done
done
stop_writer
umount /run/mnt
send vol mirror
cat said
assert_same_disk /dev/mapper/vol mirror
era inspect stream
