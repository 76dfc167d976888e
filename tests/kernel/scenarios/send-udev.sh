# SPDX-License-Identifier: GPL-3.0-or-later
# With udev: it makes the nodes, nothing waits for it while the device is suspended, and the filesystem is found on the
# tracked device only, not on the layers below it, nor on a snapshot while there is one. A look at the state has it look
# at nothing anew.
# needs: udevadm

uuid=11111111-2222-4333-8444-555555555555
link=/dev/disk/by-uuid/$uuid

assert_found_on_vol() {
    udevadm settle
    assert_equal "$(readlink -f /dev/mapper/vol)" "$(readlink -f $link)" "where $link leads"
}
# device_of NAME: the kernel's name of a device.
device_of() {
    basename "$(readlink -f "/dev/mapper/$1")"
}

has_snapshot() {
    dmsetup table vol-data | grep -q snapshot-origin
}

start_udev
create_stack vol 32M 16M
mkfs.ext4 -q -U $uuid /dev/mapper/vol
assert_found_on_vol

# udev takes it for a change when a disk is closed that was open for writing.
udevadm monitor --udev --subsystem-match=block >events &
monitor=$!
wait_until grep -q "^UDEV" events
era status vol >status
udevadm settle
udevadm trigger --action=change /dev/mapper/vol
wait_until grep -q "$(device_of vol)" events
assert_equal "" "$(grep loop events || true)" "events that era status made"
kill $monitor
mount /dev/mapper/vol /run/mnt

# It stands still with its snapshot in place.
ERA_FAILPOINT=copied=stop era send vol >received 2>interrupted-said &
sender=$!
wait_until is_stopped $sender
has_snapshot
assert_found_on_vol
for layer in vol-data vol-meta vol-cow vol-snap; do
    udevadm info --query=property "/sys/block/$(device_of $layer)" >properties
    ! grep -q ID_FS_UUID properties || fail "udev looked into $layer"
done
kill -CONT $sender
wait $sender
assert_nothing_left vol
assert_found_on_vol
era apply --require-end mirror <received
e2fsck -fn mirror

umount /run/mnt
era close --meta "$meta"
udevadm settle
assert_equal "/dev/mapper/control" "$(echo /dev/mapper/*)" "nodes left"
era open --meta "$meta"
assert_found_on_vol
