# SPDX-License-Identifier: GPL-3.0-or-later
# A destination that fails a write or a flush, or has no room, makes era_apply fail: what it calls done is on the disk.

block=128
data=$(new_disk data 64M)
meta=$(new_disk meta 8M)
target=$(new_disk target 64M)
make_era vol "$data" "$meta" $block
write_blocks /dev/mapper/vol $block 100 50
take_snapshot vol
era changed --metadata "$meta" --metadata-snapshot --since 1 --format xml >changed.xml
drop_snapshot vol
for format in 1 2; do
    era_copy --format $format $block /dev/mapper/vol <changed.xml >stream-$format
done

# assert_fails DESTINATION
assert_fails() {
    local format
    for format in 1 2; do
        assert_exit 2 sh -c "era_apply $1 <stream-$format"
        assert_message "$1"
    done
}

# The disk ends in the middle of what is to be written: sectors that give errors.
dmsetup create broken <<TABLE
0 $((120 * block)) linear $target 0
$((120 * block)) $((131072 - 120 * block)) error
TABLE
assert_fails /dev/mapper/broken
dmsetup remove broken

# All writes are dropped with an error: dm-flakey that is never up.
modprobe dm-flakey
dmsetup create flakey --table "0 131072 flakey $target 0 0 3600 1 error_writes"
assert_fails /dev/mapper/flakey
dmsetup remove flakey

# Too small a device, and a filesystem that gets full.
small=$(new_disk small 8M)
assert_fails "$small"
mount -t tmpfs -o size=1M tmpfs /run/mnt
assert_fails /run/mnt/image
umount /run/mnt

dmsetup create sound --table "0 131072 linear $target 0"
for format in 1 2; do
    era_apply /dev/mapper/sound <stream-$format
done
assert_same_disk /dev/mapper/vol /dev/mapper/sound
