# SPDX-License-Identifier: GPL-3.0-or-later
# A live ext4 goes into a repository eight times, each time as of one moment. Every point stays what it was, bit for bit and
# a filesystem in order, and so it is when half of them are taken away.
# time limit: 180

create_stack vol 64M 32M --block-size 64K
mkfs.ext4 -q /dev/mapper/vol
mount /dev/mapper/vol /run/mnt
start_writer /run/mnt
for day in 1 2 3 4; do
    for hour in 10 12; do
        # The clock is this machine's own. Points are kept by their days.
        date -s "2026-03-0$day $hour:00" >/dev/null
        let_writer_work 4
        back_up vol repo --consistency snapshot
        has_line "one moment, from a snapshot" said || fail "$(<said)"
        cat said received
        assert_nothing_left vol
    done
done
stop_writer
assert_equal 8 "$(last_point repo)" "points"
for id in $(references); do
    e2fsck -fn "reference-$id" >fsck 2>&1 || fail "point $id: $(<fsck)"
    [ "$id" = 1 ] || assert_differ "reference-$id" "reference-$((id - 1))"
done
assert_points repo
assert_same_disk mirror repo/image

era prune repo --keep-daily 9
rm reference-{1,3,5,7}
assert_points repo
assert_equal "2-4 2-4.index 4-6 4-6.index 6-8 6-8.index" "$(echo $(ls repo/undo))" "files of the points"

# It goes on, and the last is the device.
umount /run/mnt
back_up vol repo
assert_points repo
assert_same_disk /dev/mapper/vol repo/image
mount -o loop,ro repo/image /run/mnt
[ -n "$(ls /run/mnt)" ] || fail "the image has no files"
