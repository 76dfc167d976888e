# SPDX-License-Identifier: GPL-3.0-or-later
# `era changed` on a device of 2^20 blocks: marks in many array blocks and in more than one level of the trees,
# right after many rollovers.
# needs: era_invalidate
# time limit: 400

block=8
blocks=$((1 << 20))
data=$(new_disk data 4G)
meta=$(new_disk meta 64M)
make_era vol "$data" "$meta" $block
vol=/dev/mapper/vol

# One block in each of 40 eras, far apart, and a run across the border of two array blocks; then the last block.
for number in $(seq 0 39); do
    write_blocks $vol $block $((number * 26003)) 1
    checkpoint vol
done
write_blocks $vol $block 1000 100
write_blocks $vol $block $((blocks - 1)) 1
expected() {
    local number
    for number in $(seq "$1" 39); do
        echo "$((number * 26003)) $((number * 26003 + 1))"
    done
    echo "1000 1100"
    echo "$((blocks - 1)) $blocks"
}

for era in 1 20 41; do
    expected $((era - 1)) | sort -n >expected
    changed_now vol "$meta" $era >ours
    assert_same expected ours
    invalidated_now vol "$meta" $era >theirs
    assert_same expected theirs
done
dmsetup remove vol
for era in 1 20 41; do
    expected $((era - 1)) | sort -n >expected
    changed "$meta" $era >ours
    assert_same expected ours
done
assert_equal "0 $blocks" "$(changed "$meta" 0)" "all blocks"
