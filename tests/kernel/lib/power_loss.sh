# SPDX-License-Identifier: GPL-3.0-or-later
# A device whose machine loses power while programs write to it, and what must be known about it afterwards.
#
# The writers log a block when the write to it has completed, in a file that outlives the power cut. The mirror is
# the reference for what was really changed: it is the device as it was before the writers began.

power_loss_block=8
power_loss_mirror=/run/host/mirror

# lose_power_while_writing DATA META
lose_power_while_writing() {
    local writer
    make_era vol "$1" "$2" $power_loss_block
    write_blocks /dev/mapper/vol $power_loss_block 0 1000
    cursor=0
    take_snapshot vol
    copy_changes vol "$2" $power_loss_mirror $power_loss_block
    echo "$cursor" >/run/host/cursor

    for writer in 1 2 3; do
        write_and_log "/run/host/log-$writer" &
    done
    wait_until have_logged 10
    checkpoint vol
    wait_until have_logged 30
    power_cut
}

# Each of the writers.
have_logged() {
    local writer
    for writer in 1 2 3; do
        [ -e /run/host/log-$writer ] && [ "$(wc -l </run/host/log-$writer)" -ge "$1" ] || return
    done
}

write_and_log() {
    local block
    while :; do
        block=$(((RANDOM << 15 | RANDOM) % ($(sectors_of /dev/mapper/vol) / power_loss_block)))
        write_blocks /dev/mapper/vol $power_loss_block $block 1
        # The file is on the host when it is closed.
        echo "$block" >>"$1"
    done
}

# check_after_power_loss DATA META
check_after_power_loss() {
    read -r cursor </run/host/cursor
    cat /run/host/log-* >completed
    [ "$(wc -l <completed)" -ge 90 ] || fail "the log of the writers is lost"
    really_changed "$1" >different
    [ -s different ] || fail "nothing was changed"

    changed "$2" "$cursor" >offline
    assert_listed completed offline
    assert_listed different offline
    assert_equal "" "$(awk '$2 - $1 > 1000' offline)" "runs too long for single writes"

    make_era vol "$1" "$2" $power_loss_block
    changed_now vol "$2" "$cursor" >live
    assert_listed completed live
    assert_listed different live

    take_snapshot vol
    copy_changes vol "$2" $power_loss_mirror $power_loss_block
    assert_same "$1" $power_loss_mirror
}

# really_changed DATA: the blocks in which it differs from the mirror.
really_changed() {
    # cmp ends with 1 when there are differences.
    { cmp -l "$1" $power_loss_mirror || [ $? = 1 ]; } |
        awk -v bytes=$((power_loss_block * 512)) '{ print int(($1 - 1) / bytes) }' | uniq
}

# assert_listed BLOCKS RUNS: every block of the one file is in a run of the other.
assert_listed() {
    local missing
    missing=$(awk 'NR == FNR { for (block = $1; block < $2; block++) listed[block]; next }
        !($1 in listed)' "$2" "$1")
    [ -z "$missing" ] || fail "$1 but not listed $2:" $missing
}
