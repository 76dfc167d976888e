# SPDX-License-Identifier: GPL-3.0-or-later
# After a crash in the middle of writes every block that was changed is listed, before the device is active again
# and after; and the increment makes the mirror right. The disks keep all that was written to them.
# time limit: 400
# disk: data 64
# disk: meta 8

boot_1() {
    lose_power_while_writing "$(ubd_disk data)" "$(ubd_disk meta)" /run/host/mirror
}

boot_2() {
    check_after_power_loss "$(ubd_disk data)" "$(ubd_disk meta)" /run/host/mirror
}
