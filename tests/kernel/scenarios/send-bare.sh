# SPDX-License-Identifier: GPL-3.0-or-later
# dm-era devices that somebody made with dmsetup are sent, too: directly on a disk, or on a linear device; with the
# filesystem frozen, or without.

for below in disk linear; do
    data=$(new_disk "data-$below" 32M)
    meta=$(new_disk "meta-$below" 8M)
    vol=bare-$below
    if [ $below = linear ]; then
        dmsetup create lin --table "0 $(sectors_of "$data") linear $data 0"
        data=/dev/mapper/lin
    fi
    make_era "$vol" "$data" "$meta" 128
    mkfs.ext4 -q "/dev/mapper/$vol"
    mount "/dev/mapper/$vol" /run/mnt
    rm -f writer-stop
    start_writer /run/mnt
    cursor=
    for consistency in freeze none "" freeze; do
        let_writer_work 2
        send "$vol" "mirror-$below" ${consistency:+--consistency $consistency}
        cat said
        assert_nothing_left "$vol"
        [ "$consistency" = none ] || e2fsck -fn "mirror-$below"
    done
    assert_exit 2 era send "$vol" --consistency snapshot
    assert_message "no space for snapshots"
    stop_writer
    umount /run/mnt
    send "$vol" "mirror-$below"
    grep "no filesystem of it is mounted" said
    assert_same_disk "/dev/mapper/$vol" "mirror-$below"
    assert_equal "" "$(era changed "$vol" --since "$cursor")" "changes since the last cursor"
done

# Metadata that somebody made anew: their eras begin again, below the cursor.
dmsetup remove bare-linear
dd if=/dev/zero of="$meta" bs=4096 count=1 oflag=direct status=none
make_era bare-linear "$data" "$meta" 128
assert_exit 1 era send bare-linear --since "$cursor"
assert_message "a full copy is needed"
