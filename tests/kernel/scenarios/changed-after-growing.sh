# SPDX-License-Identifier: GPL-3.0-or-later
# A device grown by loading a larger table keeps its marks, and gets marks in its new part.

block=128
data=$(new_disk data 64M)
meta=$(new_disk meta 8M)
dmsetup create vol --table "0 65536 era $meta $data $block"
vol=/dev/mapper/vol
write_blocks $vol $block 5 1
write_blocks $vol $block 511 1
since=$(($(current_era vol) + 1))

# In this order: a table that is loaded before the device is suspended misses what is marked in between.
dmsetup suspend vol
dmsetup load vol --table "0 131072 era $meta $data $block"
dmsetup resume vol
write_blocks $vol $block 512 1
write_blocks $vol $block 1023 1
assert_equal "5 6,511 513,1023 1024" "$(changed_now vol "$meta" 1 | paste -sd ,)" "marks of both parts"
assert_equal "512 513,1023 1024" "$(changed_now vol "$meta" $since | paste -sd ,)" "marks since it grew"
assert_equal "0 1024" "$(changed_now vol "$meta" 0)" "all blocks"
dmsetup remove vol
assert_equal "5 6,511 513,1023 1024" "$(changed "$meta" 1 | paste -sd ,)" "marks of both parts, offline"
