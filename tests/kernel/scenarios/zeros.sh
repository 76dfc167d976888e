# SPDX-License-Identifier: GPL-3.0-or-later
# Runs of zeros in a stream are zeros on the destination afterwards, whatever was there before and whether or not the
# device can discard or write zeros by itself.

block=128
data=$(new_disk data 16M)
meta=$(new_disk meta 8M)
make_era vol "$data" "$meta" $block
vol=/dev/mapper/vol
# All zeros but for some blocks, and one that is zeros only in part.
write_blocks $vol $block 0 1
write_blocks $vol $block 150 3
dd if=/dev/urandom of=$vol bs=512 seek=$((200 * block)) count=1 oflag=direct status=none
take_snapshot vol
era changed --metadata "$meta" --metadata-snapshot --since 0 --format xml >all.xml
drop_snapshot vol

# assert_zeros_arrive DESTINATION
assert_zeros_arrive() {
    dd if=/dev/urandom of="$1" bs=1M count=16 iflag=fullblock conv=notrunc,fsync status=none
    era_apply --require-end "$1" <stream
    # What counts is what the device has, not what the page cache remembers.
    echo 3 >/proc/sys/vm/drop_caches
    assert_same_disk $vol "$1"
}

# On a tmpfs a loop device can discard, on the host's files it cannot; dm-delay cannot write zeros.
discarding=$(new_disk discarding 16M)
truncate -s 16M /run/host/plain
plain=$(losetup --find --show /run/host/plain)
dmsetup create delay --table "0 32768 delay $(new_disk below-delay 16M) 0 0"
assert_equal 0 "$(cat "$(sysfs_of "$plain")/queue/discard_max_bytes")" "discards of a loop device on the host"
assert_equal 0 "$(cat "$(sysfs_of /dev/mapper/delay)/queue/write_zeroes_max_bytes")" "zeroing of dm-delay"
[ "$(cat "$(sysfs_of "$discarding")/queue/discard_max_bytes")" != 0 ] || fail "no discards on a tmpfs"
truncate -s 16M image

for format in 1 2; do
    era_copy --format $format $block $vol <all.xml >stream
    for destination in "$discarding" "$plain" /dev/mapper/delay image; do
        assert_zeros_arrive "$destination"
    done
done
[ "$(stat -c %s stream)" -lt 1000000 ] || fail "version 2 has the zeros in it"
