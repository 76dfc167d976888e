# SPDX-License-Identifier: GPL-3.0-or-later
# What era_apply has called done is there after a power cut that loses every cache: in a new file, in an old one, on a
# device.
# disk: files 64

block=128

boot_1() {
    local data meta disk vol=/dev/mapper/vol destination
    # Nothing is written back because of its age.
    echo 0 >/proc/sys/vm/dirty_writeback_centisecs
    mkfs.ext4 -q "$(ubd_disk files)"
    mount "$(ubd_disk files)" /run/mnt
    data=$(new_disk data 8M)
    meta=$(new_disk meta 8M)
    make_era vol "$data" "$meta" $block
    write_blocks $vol $block 20 50
    take_snapshot vol
    era changed --metadata "$meta" --metadata-snapshot --since 0 --format xml >all.xml
    drop_snapshot vol
    era_copy --format 2 $block $vol <all.xml >stream
    cp --sparse=never "$data" /run/host/expected

    truncate -s 8M /run/mnt/old-file /run/mnt/disk
    disk=$(losetup --find --show /run/mnt/disk)
    sync
    # This one would be there only if something else than era_apply had flushed it.
    cp "$data" /run/mnt/unflushed
    for destination in "$disk" /run/mnt/old-file /run/mnt/new-file; do
        era_apply --require-end "$destination" <stream
    done
    power_cut
}

boot_2() {
    mount "$(ubd_disk files)" /run/mnt
    assert_same /run/host/expected /run/mnt/disk
    assert_same /run/host/expected /run/mnt/old-file
    assert_same /run/host/expected /run/mnt/new-file
    assert_differ /run/host/expected /run/mnt/unflushed
}
