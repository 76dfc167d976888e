# SPDX-License-Identifier: GPL-3.0-or-later
# The proof that a cut is of one moment: a filesystem that is in order, records that form a prefix, and an image that is
# the device, bit for bit, as a snapshot has it that others made in the same moment.

# test_one_moment MKFS FSCK_OF_IMAGE FSCK_AFTER_MOUNT SIZE ROUNDS [MOUNT_OPTION]: with both consistencies.
test_one_moment() {
    local mkfs=$1 consistency round
    fscks=("$2" "$3")
    create_stack vol "$4" 96M
    reference_cow=$(new_disk reference-cow 64M)
    $mkfs /dev/mapper/vol
    mount /dev/mapper/vol /run/mnt
    start_recording /run/mnt
    cursor=
    for round in $(seq "$5"); do
        for consistency in snapshot freeze; do
            let_record 20
            "cut_with_$consistency"
            check_moment "${6-}"
        done
    done
    stop_recording
    umount /run/mnt
    send vol mirror
    assert_same_disk /dev/mapper/vol mirror
}

# While the sender has the device suspended, a second snapshot of its data device is made with dmsetup.
cut_with_snapshot() {
    start_paused vol armed,suspended,copied --consistency snapshot --freeze-timeout 10m
    before=$(last_recorded)
    go_on
    dd if=/dev/zero of="$reference_cow" bs=4096 count=1 oflag=direct status=none
    dmsetup create reference --table "0 $(sectors_of "$data") snapshot $data $reference_cow N 8"
    go_on
    after=$(last_recorded)
    # Writes go on, and neither snapshot changes.
    let_record 20
    dd if=/dev/mapper/reference of=moment bs=1M iflag=direct conv=sparse status=none
    # The writes to the origin that it sees end with the sender's own snapshot.
    dmsetup remove reference
    finish_send mirror
}

# Nobody writes while the filesystem is frozen: the device itself is the reference.
cut_with_freeze() {
    start_paused vol armed,copied --consistency freeze --freeze-timeout 10m
    before=$(last_recorded)
    go_on
    after=$(last_recorded)
    dd if=/dev/mapper/vol of=moment bs=1M iflag=direct conv=sparse status=none
    finish_send mirror
}

# check_moment [MOUNT_OPTION]
check_moment() {
    local found
    has_line "one moment" said || fail "$(<said)"
    assert_same_disk moment mirror
    ${fscks[0]} mirror
    cp mirror mounted
    mkdir -p /run/image
    mount -o "loop${1:+,$1}" mounted /run/image
    found=$(records_in /run/image)
    umount /run/image
    ${fscks[1]} mounted
    rm mounted moment
    echo "$SECONDS s: $consistency: records 1 to $found, $before before the cut, $after after it"
    # A record may be written and not noted yet.
    [ "$before" -le "$found" ] && [ "$found" -le $((after + 1)) ] || fail "not of the moment of the cut"
    assert_nothing_left vol
}
