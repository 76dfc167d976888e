# SPDX-License-Identifier: GPL-3.0-or-later
# A data device that has grown is opened at its new size, and the new part is tracked; one that has grown out of its
# metadata, or has shrunk, is refused, and nothing has changed.

create_stack vol 16M 16M --cow-size 0
cursor=
send vol mirror
era close --meta "$meta"

resize() {
    truncate -s "$1" /run/disks/vol-data
    losetup --set-capacity "$data"
}

resize 24M
era open --meta "$meta"
assert_equal $((24 << 20)) "$(blockdev --getsize64 /dev/mapper/vol)" "size"
write_blocks /dev/mapper/vol 1024 40 2
era changed vol --since "$cursor" >changed
grep -x "40 42" changed
cursor=
send vol mirror
assert_same /dev/mapper/vol mirror
era close --meta "$meta"

disks="$data $meta"
resize 20M
refuses "$data: is not the recorded data device, or has shrunk: it has 20971520 bytes, recorded are 25165824" \
    era open --meta "$meta"
# 15 MiB of metadata are not enough for a device of a terabyte.
resize 4T
disks=$meta
refuses "$data: has grown, and tracking it now takes .* of metadata; there are 15.0 MiB" era open --meta "$meta"
resize 24M
era open --meta "$meta"
assert_equal "" "$(era changed vol --since "$cursor")" "changes"
