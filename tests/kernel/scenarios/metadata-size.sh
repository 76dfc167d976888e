# SPDX-License-Identifier: GPL-3.0-or-later
# A metadata device of exactly the size that we compute is never full, whatever happens: every block written in several
# eras, a metadata snapshot held meanwhile, many eras closed in a row, a device that grows. Nor is most of it wasted.
# time limit: 600

block=8
vol=/dev/mapper/vol
sizes=$ERA_TEST_DIR/../data/metadata-sizes

# sample: sets $used and $total, and keeps the greatest use seen.
sample() {
    local status
    status=($(dmsetup status --target era vol))
    used=${status[4]%/*} total=${status[4]#*/}
    [ "$used" -le "$most" ] || most=$used
}

# The kernel digests in the background, and does not say when it is done.
digested() {
    local before
    sample
    before=$used
    rest 0.5
    sample
    [ "$used" = "$before" ]
}

# fill: writes every block. The data device forgets them, only the marks count.
fill() {
    dd if=/dev/zero of=$vol bs=4M oflag=direct conv=notrunc status=none count="$((size * 512))" iflag=count_bytes
    sample
}

# resize SECTORS: loads a table of that size. Only while suspended: loading reads the metadata, and what the old table
# still commits after that is overwritten by the new one, marks and space map alike.
resize() {
    size=$1
    dmsetup suspend vol
    dmsetup load vol --table "0 $size era $meta /dev/mapper/data $block"
    dmsetup resume vol
    sample
}

worst_case() {
    local blocks=$1 needed=$2
    most=0
    dmsetup create data --table "0 $((blocks * block)) zero"
    meta=$(new_disk "meta-$blocks" "$((needed * 4))K")
    size=$(((blocks + 1) / 2 * block))
    dmsetup create vol --table "0 $size era $meta /dev/mapper/data $block"
    fill
    wait_until digested
    take_snapshot vol
    fill
    resize $((blocks * block))
    fill
    for _ in 1 2 3 4 5; do
        resize "$size"
    done
    wait_until digested
    # The snapshot's array, the one committed and the one in the making differ in every block.
    drop_snapshot vol
    take_snapshot vol
    fill
    checkpoint vol
    fill
    checkpoint vol
    wait_until digested
    fill
    drop_snapshot vol
    assert_equal "$needed" "$total" "size of the metadata"
    echo "$blocks blocks: at most $most of $needed metadata blocks used, $((most * 100 / needed)) %"
    [ "$most" -lt "$needed" ] || fail "the metadata were full"
    # The fixed part outweighs all else on small devices.
    [ "$blocks" -lt 1000000 ] || [ $((most * 4)) -ge "$needed" ] || fail "most of the metadata device is wasted"
    dmsetup remove vol
    dmsetup remove data
}

while read -r blocks needed; do
    [ "$blocks" = "#" ] || worst_case "$blocks" "$needed"
done <"$sizes"
if dmesg | grep -E 'era|space map' | grep -iE 'fail|unable|error'; then
    fail "the kernel complained"
fi
