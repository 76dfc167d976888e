# SPDX-License-Identifier: GPL-3.0-or-later
# The next increment must start at the first era that the snapshot does not cover, which `era changed` names. Asking
# the device after the copy loses what was written in an era that has ended meanwhile.

block=128
data=$(new_disk data 64M)
meta=$(new_disk meta 8M)
make_era vol "$data" "$meta" $block
vol=/dev/mapper/vol

write_blocks $vol $block 1 1
take_snapshot vol
era changed --metadata "$meta" --metadata-snapshot --since 1 --format json >changed.json
cursor=$(json_number next_since_era changed.json)
assert_equal 1 "$(json_number changed_blocks changed.json)" "blocks in the first increment"
assert_equal "$(current_era vol)" "$cursor" "the next era to ask for"

# While the copy goes on: a write, and somebody else's rollover.
write_blocks $vol $block 2 1
checkpoint vol
wrong_cursor=$(current_era vol)
drop_snapshot vol

assert_equal "" "$(changed_now vol "$meta" "$wrong_cursor")" "changes since the wrong cursor"
assert_equal "2 3" "$(changed_now vol "$meta" "$cursor")" "changes since the cursor"
