# SPDX-License-Identifier: GPL-3.0-or-later
# `era backup` of a live filesystem on one machine: everything, increments, a device that has grown, tracking that began
# anew, a first copy that broke off. Every point stays what the device was, and only what is different is sent.
# time limit: 120

create_stack vol 48M 32M --block-size 64K
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/mapper/vol
mount /dev/mapper/vol /run/mnt
random_bytes $((16 << 20)) >/run/mnt/file
sync -f /run/mnt

# points_kept REPO
points_kept() {
    era points --json "$1" | grep -o '"id":' | wc -l
}

# A sender that is killed in the middle: nothing is kept, but what arrived is not sent again.
start_writer /run/mnt
let_writer_work 3
assert_exit 2 env ERA_FAILPOINT=copying@160=kill era backup vol repo
assert_message "era send on this machine: was ended by signal 9"
assert_exit 1 era points --json repo
assert_nothing_left vol
era backup vol repo --json >done.json 2>said
cat said done.json
assert_equal 1 "$(points_kept repo)" "points"
has_line '"kind":"difference"' done.json || fail "everything was sent again"
[ "$(json_number transferred_bytes done.json)" -lt $((10 << 20)) ] || fail "$(<done.json)"

for round in 2 3 4; do
    let_writer_work 3
    era backup vol repo --consistency $([ $round = 3 ] && echo freeze || echo snapshot)
    cp repo/image image-$round
    e2fsck -fn image-$round
    assert_nothing_left vol
done
# Another repository follows the device by itself, from its own cursor.
era backup vol other
let_writer_work 1
era backup vol repo
let_writer_work 1
stop_writer
umount /run/mnt
for repo in other repo other; do
    era backup vol $repo
    dd if=/dev/mapper/vol of=now bs=1M iflag=direct status=none
    assert_same_disk now $repo/image
    assert_exit 0 era verify $repo
done
assert_equal 3 "$(points_kept other)" "points of the other repository"
rm -r other

# The device, and it has grown.
era close --meta "$meta"
truncate -s 64M /run/disks/vol-data
losetup --set-capacity "$data"
random_bytes 100000 | dd of="$data" bs=1M seek=50 oflag=sync status=none conv=notrunc
era open --meta "$meta"
era backup vol repo
assert_same_disk /dev/mapper/vol repo/image

# Something bypasses tracking: it begins anew, and only what is different is sent.
era close --meta "$meta"
mount "$data" /run/mnt
rm /run/mnt/file-0 || true
random_bytes 300000 >/run/mnt/past-the-tracker
umount /run/mnt
era open --meta "$meta" 2>said
grep "new generation" said
era backup vol repo --json >done.json 2>said
grep "tracking began anew" said
has_line '"kind":"difference"' done.json
[ "$(json_number transferred_bytes done.json)" -lt $((4 << 20)) ] || fail "$(<done.json)"
assert_same_disk /dev/mapper/vol repo/image
era backup vol repo --json >done.json
has_line '"kind":"increment"' done.json
assert_same_disk /dev/mapper/vol repo/image

# Every point is what it was.
era verify repo
for round in 2 3 4; do
    era restore repo@$round restored --force
    assert_same_disk image-$round restored
done
era restore repo@latest restored --force
assert_same_disk /dev/mapper/vol restored

# Onto the disk itself, once it is not in use; one that is, and one that is too small, are refused.
assert_exit 2 era restore repo "$data"
assert_message "in use"
small=$(new_disk small 16M)
assert_exit 2 era restore repo "$small"
assert_message "nothing was written"
disk=$(new_disk disk 64M)
era restore repo "$disk"
assert_same_disk /dev/mapper/vol "$disk"
era prune repo --keep-last 2
era verify repo
assert_equal 2 "$(points_kept repo)" "points"
