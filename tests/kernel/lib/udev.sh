# SPDX-License-Identifier: GPL-3.0-or-later
# udev, as on a machine that is up: it makes the nodes and links of devices, and looks into every new one.

start_udev() {
    # Its rules are the host's and ours.
    unset DM_DISABLE_UDEV
    mkdir -p /run/udev/rules.d
    cp "$ERA_TEST_DIR"/../../udev/*.rules /run/udev/rules.d
    /usr/lib/systemd/systemd-udevd >/run/udevd.log 2>&1 &
    wait_until test -S /run/udev/control
    udevadm trigger --subsystem-match=block
    udevadm settle
}
