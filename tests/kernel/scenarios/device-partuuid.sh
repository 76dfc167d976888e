# SPDX-License-Identifier: GPL-3.0-or-later
# A partition is known by its uuid, in a GPT and in an MBR, whatever it holds: several signatures at once as well, which
# libblkid calls ambiguous. One with another uuid is refused, and taken when one says so.
# needs: sfdisk

own_etc
# make_partitions NAME LABEL: sets $disk, $data and $meta.
make_partitions() {
    truncate -s 80M "/run/disks/$1"
    printf 'label: %s\nstart=2048,size=65536\nstart=69632,size=65536\n' "$2" | sfdisk -q "/run/disks/$1"
    disk=$(losetup --find --show --partscan "/run/disks/$1")
    data=${disk}p1 meta=${disk}p2
    wait_until test -b "$meta"
}

for label in gpt dos; do
    make_partitions $label $label
    mkfs.ext4 -q "$data"
    uuid=$(blkid -po value -s PART_ENTRY_UUID "$data")
    era create $label --data "$data" --meta "$meta"
    assert_equal "$label	PARTUUID=$uuid" "$(grep "^$label" /etc/eratab | cut -f 1-2)" "line in eratab"
    cursor=
    send $label mirror
    # Signatures of other filesystems beside the one that is there.
    printf '_BHRfS_M' | dd of=/dev/mapper/$label bs=1 seek=65600 conv=notrunc,fsync status=none
    printf 'SWAPSPACE2' | dd of=/dev/mapper/$label bs=1 seek=4086 conv=notrunc,fsync status=none
    printf 'ReIsEr2Fs' | dd of=/dev/mapper/$label bs=1 seek=65588 conv=notrunc,fsync status=none
    assert_exit 8 blkid -p /dev/mapper/$label
    for which in $label --all "--meta $meta"; do
        era close $which
        era open $which
        era changed $label --since "$cursor"
    done
done

# The last one, with another uuid. Who has no line in eratab finds it by its path.
era close $label
sfdisk -q --no-reread --no-tell-kernel --disk-id "$disk" 0x12345678
sed -i "s/PARTUUID=$uuid/PARTUUID=12345678-01/; s|PARTUUID=[^\t]*-02|$meta|" /etc/eratab
disks="$data $meta"
refuses "$data: is not the recorded data device: recorded is partuuid $uuid, this has partuuid 12345678-01" era open $label
refuses "$data: is not the recorded data device" era open --meta "$meta"
era open $label --accept-data 2>said
grep "tracking starts a new generation" said
assert_exit 1 era send $label --since "$cursor"
era close $label
era open --meta "$meta"
