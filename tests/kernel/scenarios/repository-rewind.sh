# SPDX-License-Identifier: GPL-3.0-or-later
# A tracked device goes back to a point by what changed since then, and to no more; tracking stays valid. What cannot be known,
# and a device in use, are refused.

create_stack vol 16M 16M --block-size 64K
write_blocks /dev/mapper/vol 128 0 256
cp /run/disks/vol-data before
era backup vol repo
write_blocks /dev/mapper/vol 128 10 3
era backup vol repo
write_blocks /dev/mapper/vol 128 12 3
era backup vol repo
# Not in any point.
write_blocks /dev/mapper/vol 128 200 2

cursor=$(era points --cursor repo)
rewind="era restore repo@1 vol --only-changed"
dmsetup create holder --table "0 $(sectors_of /dev/mapper/vol) linear /dev/mapper/vol 0"
assert_exit 2 $rewind
assert_message "in use"
dmsetup remove holder
disk=$(new_disk disk 16M)
assert_exit 2 era restore repo@1 "$disk" --only-changed
assert_message "tracked device"

era changed vol --since "$cursor" >changed-until-then
$rewind
assert_same_disk /dev/mapper/vol before
# What was written is what had changed, in any point or none.
{
    cat changed-until-then
    echo "10 15"
} | while read -r begin end; do seq $begin $((end - 1)); done | sort -n | uniq >expected
era changed vol --since "$cursor" | while read -r begin end; do seq $begin $((end - 1)); done >written
assert_same expected written

era backup vol repo
assert_same_disk before repo/image
era verify repo
assert_exit 0 era verify repo vol
assert_exit 0 era restore repo@2 vol --only-changed
era restore repo@2 second
assert_same_disk /dev/mapper/vol second

# Tracking began anew: it is not known what changed.
era close --meta "$meta"
era open --meta "$meta" --new-generation
assert_exit 1 $rewind
assert_message "without --only-changed"
vol_data=$data vol_meta=$meta
create_stack other 16M 16M --block-size 64K
assert_exit 2 era restore repo other --only-changed
assert_message "the repository is of device"

# The data disk dies. What was backed up goes to a new one, which is tracked in its place; the next backup reads all of it,
# and sends only what is different.
era backup vol repo
own_etc
new=$(new_disk new "$(blockdev --getsize64 "$vol_data")")
era restore repo "$new"
printf 'vol %s %s\n' "$new" "$vol_meta" >/etc/eratab
era close vol 2>said
grep "is not the device that it was open on" said
losetup --detach "$vol_data"
era open --accept-data vol
random_bytes 65536 | dd of=/dev/mapper/vol bs=65536 seek=7 oflag=direct status=none
era backup vol repo --json >done.json
has_line '"kind":"difference"' done.json || fail "$(<done.json)"
has_line '"changed_bytes":65536' done.json || fail "$(<done.json)"
assert_same_disk /dev/mapper/vol repo/image
