# SPDX-License-Identifier: GPL-3.0-or-later
# `era changed` lists exactly the blocks written since an era, for every era, whether the writesets have been digested
# or not, on an active device and on one that is not; era_invalidate agrees.
# needs: era_invalidate
# time limit: 400

block=128
data=$(new_disk data 64M)
meta=$(new_disk meta 8M)
make_era vol "$data" "$meta" $block
vol=/dev/mapper/vol

# What is written in eras 1 to 5; era 3 stays empty, block 10 is written again, block 1023 is the last.
write_blocks $vol $block 10 3
checkpoint vol
write_blocks $vol $block 0 1
write_blocks $vol $block 1023 1
checkpoint vol
checkpoint vol
write_blocks $vol $block 10 1
write_blocks $vol $block 63 2
checkpoint vol
write_blocks $vol $block 500 20

since=(
    [0]="0 1024"
    [1]="0 1,10 13,63 65,500 520,1023 1024"
    [2]="0 1,10 11,63 65,500 520,1023 1024"
    [3]="10 11,63 65,500 520"
    [4]="10 11,63 65,500 520"
    [5]="500 520"
    [6]=""
)
check_all() {
    local era
    for era in "${!since[@]}"; do
        assert_equal "${since[era]}" "$("$@" "$era" | paste -sd ,)" "$1 since era $era"
    done
}
ours_live() {
    era changed --metadata "$meta" --metadata-snapshot --since "$1"
}
theirs_live() {
    invalidated "$meta" "$1" --metadata-snapshot
}
ours() {
    changed "$meta" "$1"
}
theirs() {
    invalidated "$meta" "$1"
}

# Right after rollovers in a row.
take_snapshot vol
check_all ours_live
check_all theirs_live
# Era 7 does not exist yet, as far as this snapshot knows.
assert_exit 1 era changed --metadata "$meta" --metadata-snapshot --since 7
assert_message "full copy"
drop_snapshot vol

# Nothing tells when the digest is done; every snapshot must be right, before and after.
for round in 1 2 3; do
    take_snapshot vol
    check_all ours_live
    check_all theirs_live
    drop_snapshot vol
done

dmsetup remove vol
check_all ours
check_all theirs
