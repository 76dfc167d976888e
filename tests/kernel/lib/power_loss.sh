# SPDX-License-Identifier: GPL-3.0-or-later
# A device whose machine loses power while programs write to it, and what must be known about it afterwards.
#
# The writers log a block when the write to it has completed, in a file that outlives the power cut. The mirror is
# the reference for what was really changed: it is the device as it was before the writers began.

power_loss_block=8

# lose_power_while_writing DATA META MIRROR
lose_power_while_writing() {
    make_era vol "$1" "$2" $power_loss_block
    write_blocks /dev/mapper/vol $power_loss_block 0 1000
    cursor=0
    take_snapshot vol
    copy_changes vol "$2" "$3" $power_loss_block
    echo "$cursor" >/run/host/cursor

    write_and_log true /run/host/log-1 &
    write_and_log true /run/host/log-2 &
    write_and_log "sync /dev/mapper/vol" /run/host/log-flushed &
    wait_until have_logged 10
    checkpoint vol
    wait_until have_logged 30
    power_cut
}

# have_logged COUNT: each of the writers.
have_logged() {
    local log
    for log in 1 2 flushed; do
        [ -e /run/host/log-$log ] && [ "$(wc -l </run/host/log-$log)" -ge "$1" ] || return
    done
}

# write_and_log FLUSH LOG: without an end, random blocks of the device.
write_and_log() {
    local block
    while :; do
        block=$(((RANDOM << 15 | RANDOM) % ($(sectors_of /dev/mapper/vol) / power_loss_block)))
        write_blocks /dev/mapper/vol $power_loss_block $block 1
        $1
        # A write to a file of the host is there when it returns.
        echo "$block" >>"$2"
    done
}

# check_after_power_loss DATA META MIRROR
check_after_power_loss() {
    read -r cursor </run/host/cursor
    cat /run/host/log-* >completed
    [ "$(wc -l <completed)" -ge 90 ] || fail "the log of the writers is lost"
    really_changed "$1" "$3" >different
    awk '{ print $1, $1 + 1 }' different >different-runs
    assert_listed /run/host/log-flushed different-runs

    changed "$2" "$cursor" >offline
    assert_listed completed offline
    assert_listed different offline
    assert_equal "" "$(awk '$2 - $1 > 1000' offline)" "runs too long for single writes"

    make_era vol "$1" "$2" $power_loss_block
    changed_now vol "$2" "$cursor" >live
    assert_listed completed live
    assert_listed different live

    take_snapshot vol
    copy_changes vol "$2" "$3" $power_loss_block
    assert_same_disk "$1" "$3"
}

# really_changed DATA MIRROR: the blocks in which they differ.
really_changed() {
    # cmp ends with 1 when there are differences.
    { cmp -l "$1" "$2" || [ $? = 1 ]; } |
        awk -v bytes=$((power_loss_block * 512)) '{ print int(($1 - 1) / bytes) }' | uniq
}

# assert_listed BLOCKS RUNS: every block of the one file is in a run of the other.
assert_listed() {
    local missing
    missing=$(awk 'NR == FNR { for (block = $1; block < $2; block++) listed[block]; next }
        !($1 in listed)' "$2" "$1")
    [ -z "$missing" ] || fail "$1 but not listed $2:" $missing
}
