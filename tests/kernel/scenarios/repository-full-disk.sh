# SPDX-License-Identifier: GPL-3.0-or-later
# A disk that the repository is alone on, and that is full: nothing that was kept is lost, a run that broke off is undone without
# more room, old points can be taken away, which makes room, and then the next run succeeds.
# time limit: 240

repo=/run/disk/repo
block=65536

# fill FILE: up to the last block.
fill() {
    dd if=/dev/urandom of="$1" bs=64K status=none 2>/dev/null || :
    dd if=/dev/urandom of="$1" bs=4K oflag=append conv=notrunc status=none 2>/dev/null || :
    sync
}

disk=$(new_disk repo 48M)
mkfs.ext4 -q -b 4096 -m 0 "$disk"
mkdir /run/disk
mount "$disk" /run/disk
create_stack vol 16M 32M --block-size 64K
write_blocks /dev/mapper/vol 128 0 100
back_up vol $repo
write_blocks /dev/mapper/vol 128 20 30
back_up vol $repo

# It breaks off at once, or later.
for left in 0 20 400 1500; do
    next_stream
    fill /run/disk/ballast
    truncate -s "-${left}K" /run/disk/ballast
    receive_fails "$repo/.*No space left on device"
    assert_points $repo
    # Not a block more than there was. What was begun is undone, and what is not kept goes.
    fill /run/disk/ballast2
    assert_exit 0 era prune $repo --keep-last 1
    rm "reference-$(($(last_point $repo) - 1))"
    assert_points $repo
    rm /run/disk/ballast /run/disk/ballast2
    receive_stream
done
