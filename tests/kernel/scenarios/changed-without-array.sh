# SPDX-License-Identifier: GPL-3.0-or-later
# `era changed` does without the era array where archived writesets answer, and only there: with an array that
# cannot be read it gives the right answer or none, at any moment of the kernel's digestion; era_invalidate, which
# always reads all, agrees.
# needs: era_invalidate
# time limit: 400

block=8
data=$(new_disk data 1G)
meta=$(new_disk meta 16M)
make_era vol "$data" "$meta" $block
vol=/dev/mapper/vol

# Marks at both ends and in the middle, as the digestion goes from block to block; era 5 has none.
for era in $(seq 10); do
    if [ "$era" != 5 ]; then
        write_blocks $vol $block 7 $((11 - era))
        write_blocks $vol $block $((era * 20011)) 2
        write_blocks $vol $block $((262144 - era)) 1
    fi
    checkpoint vol
done

# number_at FILE OFFSET: the u64 there.
number_at() {
    od -A n -t u8 -j "$2" -N 8 "$1" | tr -d ' '
}

# check SUPERBLOCK_NUMBER [--metadata-snapshot]: all eras up to the current one, with the array and without.
check() {
    local era root answered=0 refused=0
    dd if="$meta" of=broken bs=1M iflag=direct status=none
    root=$(number_at broken $(($1 * 4096 + 208)))
    dd if=/dev/zero of=broken bs=4096 seek="$root" count=1 conv=notrunc status=none
    for era in $(seq 0 "$(od -A n -t u4 -j $(($1 * 4096 + 184)) -N 4 broken)"); do
        invalidated "$meta" "$era" "${@:2}" >theirs
        era changed --metadata "$meta" --since "$era" "${@:2}" >ours
        assert_same theirs ours
        if era changed --metadata broken --since "$era" "${@:2}" >alone 2>message; then
            answered=$((answered + 1))
            assert_same theirs alone
        else
            refused=$((refused + 1))
            has_line "metadata block $root: checksum" message
        fi
    done
    echo "$answered answered, $refused refused"
    # Era 0 is never archived.
    [ $refused -gt 0 ]
}

# Taking a snapshot archives an era, so there is always one that the snapshot has in a writeset. In the second round the kernel
# has digested all others: further ones would ask the same.
for round in 1 2; do
    take_snapshot vol
    check "$(era_status vol | cut -d ' ' -f 4)" --metadata-snapshot
    assert_exit 0 era changed --metadata broken --metadata-snapshot --since $((10 + round))
    drop_snapshot vol
done
dmsetup remove vol
check 0
