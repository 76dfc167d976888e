# SPDX-License-Identifier: GPL-3.0-or-later
# Like power-loss, with disks that lose what was written but not flushed: the marks are there nevertheless, as dm-era
# flushes them before it lets a write pass.
# time limit: 400
# disk: files 160

# The machine's own page cache is the cache that gets lost: the disks are files of a filesystem.
attach() {
    mount "$(ubd_disk files)" /run/mnt
    truncate -s 64M /run/mnt/data
    truncate -s 8M /run/mnt/meta
    data=$(losetup --find --show /run/mnt/data)
    meta=$(losetup --find --show /run/mnt/meta)
}

boot_1() {
    mkfs.ext4 -q "$(ubd_disk files)"
    attach
    lose_power_while_writing "$data" "$meta" /run/mnt/mirror
}

boot_2() {
    attach
    check_after_power_loss "$data" "$meta" /run/mnt/mirror
}
