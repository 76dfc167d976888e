# SPDX-License-Identifier: GPL-3.0-or-later
# A discard of many blocks marks only the first of them, so that a backup would miss the others. Writing zeros
# instead marks them all, and discard_max_bytes=0 turns discards off, for devices stacked on top as well.
# needs: era_invalidate

block=128
data=$(new_disk data 64M)
meta=$(new_disk meta 8M)
dmsetup create under --table "0 $(sectors_of "$data") linear $data 0"
under=/dev/mapper/under
make_era vol "$under" "$meta" $block
vol=/dev/mapper/vol

# on_blocks FIRST COUNT: as options of blkdiscard
on_blocks() {
    echo "--offset $(($1 * block * 512)) --length $(($2 * block * 512))"
}
limit_of() {
    echo "$(sysfs_of "$1")/queue/discard_max_bytes"
}

blkdiscard $(on_blocks 100 20) $vol
assert_equal "100 101" "$(invalidated_now vol "$meta" 1)" "marks of a discard"

since=$(current_era vol)
blkdiscard --zeroout $(on_blocks 200 20) $vol
assert_equal "200 220" "$(invalidated_now vol "$meta" "$since")" "marks of written zeros"

since=$(current_era vol)
echo 0 >"$(limit_of $vol)"
assert_exit 1 blkdiscard $(on_blocks 300 20) $vol
assert_message "not supported"
assert_equal "" "$(invalidated_now vol "$meta" "$since")" "marks of a refused discard"

# The limit stays when the table below is swapped ...
dmsetup load under --table "0 $(sectors_of "$data") linear $data 0"
dmsetup suspend vol
dmsetup suspend under
dmsetup resume under
dmsetup resume vol
assert_equal 0 "$(cat "$(limit_of $vol)")" "limit after a swap below"
# ... and a device made on top inherits it.
dmsetup create over --table "0 $(sectors_of $vol) linear $vol 0"
assert_equal 0 "$(cat "$(limit_of /dev/mapper/over)")" "limit of the device on top"
