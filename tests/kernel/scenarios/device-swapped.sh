# SPDX-License-Identifier: GPL-3.0-or-later
# Disks that have no names of their own have changed places, or one was formatted anew: what is on them tells them apart,
# after a crash as well. The wrong one is refused, and taken only when one says so; then tracking begins anew. Where
# nothing is known of a device that was not closed in order, it begins anew by itself.

own_etc
data=$(new_disk vol-data 4M)
meta=$(new_disk vol-meta 8M)
other=$(new_disk other 4M)
blank=$(new_disk blank 4M)
mkfs.ext4 -q -U 11111111-2222-4333-8444-555555555555 "$data"
mkfs.ext4 -q -U 99999999-2222-4333-8444-555555555555 "$other"
era create vol --data "$data" --meta "$meta"
cursor=
send vol mirror

crash() {
    dmsetup remove vol && dmsetup remove vol-data && dmsetup remove vol-meta && dmsetup remove vol-cow
}
is_in_eratab() {
    printf 'vol %s %s\n' "$1" "$meta" >/etc/eratab
}

for left in crash "era close vol"; do
    $left
    for wrong in "$other" "$blank"; do
        is_in_eratab "$wrong"
        disks="$data $meta $wrong"
        refuses "$wrong: is not the recorded data device, or was formatted anew: recorded is ext4 11111111-.*this has" \
            era open vol
        refuses "$wrong: is not the recorded data device" era open vol --new-generation
    done
    is_in_eratab "$data"
    era open vol
    era changed vol --since "$cursor"
done

# The line is changed while it is open: what another disk looks like is not recorded.
is_in_eratab "$other"
assert_exit 0 era close vol
assert_message "$other: is not the device that it was open on"
is_in_eratab "$data"
era open vol
era changed vol --since "$cursor"
# Formatted anew through the tracked device.
mkfs.ext4 -q -F -U 77777777-2222-4333-8444-555555555555 /dev/mapper/vol
send vol mirror
assert_exit 2 era open vol --accept-data
assert_message "vol: is open; close it first"
crash
assert_exit 2 era open vol
assert_message "recorded is ext4 11111111-.*this has ext4 77777777-.*era open --accept-data"
era open vol --accept-data 2>said
grep "tracking starts a new generation" said
assert_exit 1 era send vol --since "$cursor"
cursor=
send vol mirror
crash
era open vol
send vol mirror
assert_same_disk "$data" mirror
# Closing in order is enough.
mkfs.ext4 -q -F -U 55555555-2222-4333-8444-555555555555 /dev/mapper/vol
for _ in 1 2; do
    era close vol
    era open vol
done
send vol mirror
assert_same_disk "$data" mirror
era remove vol

# Nothing to tell it by.
rm /run/disks/blank
create_stack blank 4M 8M
cursor=
send blank mirror
for layer in blank blank-data blank-meta blank-cow; do
    dmsetup remove $layer
done
era open --meta "$meta" 2>said
grep "tracking starts a new generation.*: it was not closed in order, and the data device has neither a name" said
assert_exit 1 era send blank --since "$cursor"
