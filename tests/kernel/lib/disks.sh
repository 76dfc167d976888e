# SPDX-License-Identifier: GPL-3.0-or-later
# Disks: in memory for one boot, or in a file of the host for several.

# new_disk NAME SIZE: a disk of zeros, of a size like 64M, that lasts for this boot; prints its device.
new_disk() {
    truncate -s "$2" "/run/disks/$1"
    losetup --find --show "/run/disks/$1"
}

# ubd_disk NAME: the device of a disk that the scenario's head asks for. What was written to it is in the host's
# hands and outlives a power cut, flushed or not.
ubd_disk() {
    local variable=ERA_TEST_DISK_$1
    echo "${!variable}"
}

sectors_of() {
    blockdev --getsz "$1"
}

# sysfs_of DEVICE: its directory below /sys.
sysfs_of() {
    echo "/sys/dev/block/$(mountpoint -x "$1")"
}

# random_bytes COUNT: not reproducible on purpose; the tests compare, they do not expect.
random_bytes() {
    head -c "$1" /dev/urandom
}

# power_cut: the machine ends here and now, without any goodbye; the host goes on with the next boot.
power_cut() {
    : >/run/host/power-cut
    exec sleep infinity
}

# write_blocks DEVICE BLOCK_SECTORS FIRST COUNT: random data, past the page cache. Every COUNT of blocks is written.
write_blocks() {
    dd if=/dev/urandom of="$1" bs="$(($2 * 512))" seek="$3" count="$4" iflag=fullblock oflag=direct \
        conv=notrunc status=none
}

# read_blocks DEVICE BLOCK_SECTORS FIRST COUNT: to stdout, past the page cache.
read_blocks() {
    dd if="$1" bs="$(($2 * 512))" skip="$3" count="$4" iflag=direct status=none
}
