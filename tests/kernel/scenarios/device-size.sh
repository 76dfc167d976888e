# SPDX-License-Identifier: GPL-3.0-or-later
# A data device that has grown is opened at its new size, and the new part is tracked. What it held there before, which
# the kernel takes for never written, and the rest of the last block, if the old end was within one, are in the next
# increment of every cursor of before, after several growths as well, and once only. One that has grown out of its
# metadata, or has shrunk, is refused, and nothing has changed.

resize() {
    truncate -s "$1" /run/disks/vol-data
    losetup --set-capacity "$data"
}

# grow SIZE: as a volume or a partition does, whose new part holds what was there.
grow() {
    local old
    old=$(blockdev --getsize64 "$data")
    era close --meta "$meta"
    resize "$1"
    dd if=/dev/urandom of="$data" bs=512 seek=$((old / 512)) count=$(($(sectors_of "$data") - old / 512)) \
        oflag=direct,dsync iflag=fullblock conv=notrunc status=none
    era open --meta "$meta"
    assert_equal "$(blockdev --getsize64 "$data")" "$(blockdev --getsize64 /dev/mapper/vol)" "size"
}

create_stack vol 16M 16M --cow-size 0
cursor=
send vol mirror
first=$cursor
cp mirror mirror-first
# 17 MiB and a half block, then whole ones.
grow 17664K
assert_equal "32 35" "$(era changed vol --since "$cursor")" "changes"
send vol mirror
assert_same_disk /dev/mapper/vol mirror
assert_equal "" "$(era changed vol --since "$cursor")" "changes after they were sent"

grow 24M
write_blocks /dev/mapper/vol 1024 40 2
assert_equal "32 48" "$(era changed vol --since "$cursor")" "changes"
era changed vol --since "$cursor" --map >map
grep -E '^ +0 B  [.]{32}[#%*]{16}$' map || fail "$(cat map)"
grep -E ' not since era [0-9]+ +32 blocks ' map || fail "$(cat map)"
send vol mirror
assert_same_disk /dev/mapper/vol mirror
assert_equal "" "$(era changed vol --since "$cursor")" "changes after they were sent"
latest=$cursor
cursor=$first
send vol mirror-first
assert_same_disk /dev/mapper/vol mirror-first
cursor=$latest
era close --meta "$meta"

# 15 MiB of metadata are not enough for a device of a terabyte.
resize 4T
disks=$meta
refuses "$data: has grown, and tracking it now takes .* of metadata; there are 15.0 MiB" era open --meta "$meta"
resize 24M
era open --meta "$meta"
assert_equal "" "$(era changed vol --since "$cursor")" "changes"
era close --meta "$meta"
disks="$data $meta"
resize 20M
refuses "$data: is not the recorded data device, or has shrunk: it has 20971520 bytes, recorded are 25165824" \
    era open --meta "$meta"
