# SPDX-License-Identifier: GPL-3.0-or-later
# A dm-era table reads the metadata when it is loaded, not when it is resumed: what is marked in between is lost to it.
# So a table is loaded while the device is suspended.

block=128
data=$(new_disk data 64M)
meta=$(new_disk meta 8M)
table="0 131072 era $meta $data $block"
dmsetup create vol --table "$table"
vol=/dev/mapper/vol

write_blocks $vol $block 5 1
dmsetup suspend vol
dmsetup load vol --table "$table"
dmsetup resume vol
write_blocks $vol $block 6 1
assert_equal "5 7" "$(changed_now vol "$meta" 1)" "marks after a table that was loaded in time"

dmsetup load vol --table "$table"
write_blocks $vol $block 7 1
dmsetup suspend vol
dmsetup resume vol
assert_equal "5 7" "$(changed_now vol "$meta" 1)" "marks after a table that was loaded too early"
