# SPDX-License-Identifier: GPL-3.0-or-later
# A write to a block already marked does not wait for anything: when it is still under way while the era rolls over
# and the block is copied, the copy has the old data and the next era no mark. A suspend and resume between rollover
# and copy cures it.
# needs: era_invalidate

block=128
data=$(new_disk data 64M)
meta=$(new_disk meta 8M)
# A suspended device below the tracker holds writes back for exactly as long as we want.
dmsetup create slow --table "0 $(sectors_of "$data") linear $data 0"
make_era vol /dev/mapper/slow "$meta" $block
vol=/dev/mapper/vol
random_bytes $((block * 512)) >new

# start_slow_write BLOCK: the write passes the tracker and gets stuck below it.
start_slow_write() {
    write_blocks $vol $block "$1" 1
    dmsetup suspend slow
    dd if=new of=$vol bs=$((block * 512)) seek="$1" oflag=direct conv=notrunc status=none &
    writer=$!
    wait_until is_in_flight
}
is_in_flight() {
    [ "$(awk '{ print $2 }' "$(sysfs_of $vol)/inflight")" = 1 ]
}

start_slow_write 5
since=$(current_era vol)
take_snapshot vol
next=$((since + 1))
assert_equal "5 6" "$(invalidated "$meta" "$since" --metadata-snapshot)" "marks before the rollover"
# The device below holds nothing back for a reader of its disk: this is what a copy gets.
read_blocks "$data" $block 5 1 >copied
drop_snapshot vol
dmsetup resume slow
wait $writer
read_blocks $vol $block 5 1 >now
assert_same new now
assert_differ new copied
assert_equal "" "$(invalidated_now vol "$meta" "$next")" "marks after the rollover"

start_slow_write 9
take_snapshot vol
dmsetup suspend vol &
suspender=$!
dmsetup resume slow
wait $suspender
dmsetup resume vol
read_blocks $vol $block 9 1 >copied
wait $writer
assert_same new copied
