# SPDX-License-Identifier: GPL-3.0-or-later
# Writes that are under way during the cut, to blocks that are marked already, are not lost with any consistency, also
# where they go past the filesystem; if they do not end in time, the send fails and holds nobody back.
# time limit: 400

block=128
vol=/dev/mapper/vol

# start_slow_write BLOCK: a write that passes the tracker and gets stuck below it, as the block is marked already.
start_slow_write() {
    write_blocks $vol $block "$1" 1
    dmsetup suspend --nolockfs slow
    write_blocks $vol $block "$1" 1 &
    writer=$!
    wait_until is_in_flight
}
is_in_flight() {
    [ "$(awk '{ print $2 }' "$(sysfs_of $vol)/inflight")" -ge 1 ]
}
is_waiting() {
    local state
    read -r _ _ state _ <"/proc/$sender/stat"
    [ "$state" = S ] || [ "$state" = D ]
}

data=$(new_disk data 32M)
meta=$(new_disk meta 16M)
dmsetup create slow --table "0 $(sectors_of "$data") linear $data 0"
era create vol --data /dev/mapper/slow --meta "$meta" --block-size 64K --no-eratab
# The end of the device is not the filesystem's.
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 $vol 24M
cursor=
send vol mirror

for consistency in none snapshot freeze; do
    for round in 1 2 3; do
        mount $vol /run/mnt
        start_paused vol armed --consistency $consistency --freeze-timeout 10m
        start_slow_write $((384 + RANDOM % 100))
        kill -CONT $sender
        # The next that it does is to suspend, which waits for the write. Only from here on can that end.
        wait_until is_waiting
        dmsetup resume slow
        finish_send mirror
        wait $writer
        assert_nothing_left vol
        # What is not in this stream is in the next.
        umount /run/mnt
        send vol mirror
        assert_same_disk $vol mirror
    done
done
echo "$SECONDS s: writes that were stuck"

# Longer than writes may be held back: the limit passes while the sender stands still before the suspend, or within it.
for consistency in none snapshot; do
    for limit in 200ms 10s; do
        start_paused vol armed --consistency $consistency --freeze-timeout $limit
        start_slow_write 400
        kill -CONT $sender
        status=0
        wait $sender || status=$?
        assert_equal 2 $status "status of $consistency"
        grep "writes that were under way did not complete within the limit" said
        dmsetup resume slow
        wait $writer
        assert_nothing_left vol
        send vol mirror
        assert_same_disk $vol mirror
    done
done
era close --meta "$meta"
dmsetup remove slow
rm mirror
echo "$SECONDS s: writes that were stuck for too long"

# Every write takes a while, and some are always under way.
data=$(new_disk late-data 16M)
meta=$(new_disk late-meta 16M)
dmsetup create late --table "0 $(sectors_of "$data") delay $data 0 0 $data 0 100"
era create vol --data /dev/mapper/late --meta "$meta" --block-size 64K --no-eratab
cursor=
send vol mirror
keep_rewriting() {
    until [ -e rewriting-stop ]; do
        write_blocks $vol $block $((RANDOM % 16)) 1
    done
}
for _ in 1 2 3; do
    keep_rewriting &
    writers+=($!)
done
for round in 1 2 3 4 5; do
    for consistency in none snapshot; do
        wait_until is_in_flight
        send vol mirror --consistency $consistency
    done
done
: >rewriting-stop
wait "${writers[@]}"
send vol mirror
assert_same_disk $vol mirror
