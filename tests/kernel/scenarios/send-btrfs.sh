# SPDX-License-Identifier: GPL-3.0-or-later
# btrfs has no device number of its own in the mount table, and each subvolume has another one: it is found and frozen
# nevertheless, and a copy is a filesystem in order.
# needs: mkfs.btrfs

create_stack vol 256M 64M
mkfs.btrfs -q /dev/mapper/vol
mount /dev/mapper/vol /run/mnt
btrfs -q subvolume create /run/mnt/sub
mkdir /run/mnt2
mount -o subvol=sub /dev/mapper/vol /run/mnt2
start_writer /run/mnt2
cursor=
for consistency in freeze snapshot freeze; do
    let_writer_work 3
    send vol mirror --consistency $consistency
    cat said
    grep "one moment" said
    assert_nothing_left vol
    btrfs check mirror
done
stop_writer
umount /run/mnt2 /run/mnt
send vol mirror
assert_same_disk /dev/mapper/vol mirror
