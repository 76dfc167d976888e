# SPDX-License-Identifier: GPL-3.0-or-later
# A device is tracked, closed, opened again and no longer tracked. Its data stay as they are, and in the end it is as
# usable as before.

own_etc
data=$(new_disk data 32M)
meta=$(new_disk meta 16M)
mkfs.ext4 -q "$data"
cp /run/disks/data before
era create vol --data "$data" --meta "$meta" --json >created
assert_equal $((512 * 1024)) "$(json_number block_size_bytes created)" "block size"
assert_same_disk "$data" before
assert_same_disk /dev/mapper/vol before
assert_equal "vol	$data	$meta	-" "$(grep -v '^#' /etc/eratab)" "line in eratab"
assert_equal "vol vol-cow vol-data vol-meta" "$(echo $(dmsetup ls | cut -f 1 | sort))" "devices"
! dmsetup info -c --noheadings -o uuid | grep -v ^ERA- || fail "a uuid does not begin with ERA-"

# Whatever is asked for twice is there once.
era open vol
era open --all
era open --meta "$meta"
assert_equal 4 "$(dmsetup ls | wc -l)" "devices"

mount /dev/mapper/vol /run/mnt
echo hello >/run/mnt/file
state_of >state-before
for which in vol --all "--meta $meta"; do
    assert_exit 2 era close $which
    assert_message "in use"
done
assert_exit 2 era remove vol
assert_message "in use"
state_of >state-after
assert_same state-before state-after
umount /run/mnt
era changed vol --since 1 >changed
[ -s changed ] || fail "writes of the filesystem are not tracked"

era close vol
era close vol
assert_equal "No devices found" "$(dmsetup ls)" "devices left"
assert_equal control "$(ls /dev/mapper)" "nodes left"
era open --all
# The eras go on.
era changed vol --since 1 >changed-again
assert_same changed changed-again
era close --all

era remove vol
assert_equal "" "$(grep -v '^#' /etc/eratab || true)" "line in eratab"
e2fsck -fn "$data"
mount "$data" /run/mnt
assert_equal hello "$(cat /run/mnt/file)" "content of a file"
umount /run/mnt
# Nothing is in the way of a new beginning.
assert_equal "" "$(blkid -p "$meta" || true)" "what the metadata device holds"
era create vol --data "$data" --meta "$meta" --no-open --no-eratab
assert_equal "No devices found" "$(dmsetup ls)" "devices"
assert_exit 2 era open vol
assert_message "is not in /etc/eratab"
era open --meta "$meta"
era close --meta "$meta"
