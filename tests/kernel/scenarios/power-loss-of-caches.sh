# SPDX-License-Identifier: GPL-3.0-or-later
# Like power-loss, with disks that lose what was written but not flushed: the marks are there nevertheless, as dm-era
# flushes them before it lets a write pass.
# time limit: 120

attach() {
    data=$(losetup --find --show /run/host/data)
    meta=$(losetup --find --show /run/host/meta)
}

boot_1() {
    truncate -s 64M /run/host/data
    truncate -s 8M /run/host/meta
    attach
    lose_power_while_writing "$data" "$meta"
}

boot_2() {
    attach
    check_after_power_loss "$data" "$meta"
}
