# SPDX-License-Identifier: GPL-3.0-or-later
# One command at a time works on a device, whichever of its metadata device's nodes is named: without udev /dev/mapper/NAME
# is a node of its own, not a link to /dev/dm-N.

data=$(new_disk vol-data 8M)
disk=$(new_disk vol-meta 32M)
dmsetup create mdisk --table "0 $(sectors_of "$disk") linear $disk 0"
[ ! -L /dev/mapper/mdisk ] || fail "udev is here"
era create vol --data "$data" --meta /dev/mapper/mdisk --no-eratab
cursor=
start_paused vol resumed
for command in close open; do
    era $command --meta /dev/mapper/mdisk >$command 2>$command-said &
done
for command in close open; do
    wait_until has_line "waiting for" $command-said
done
[ -e /dev/mapper/vol-snap ] || fail "the snapshot is gone"
[ ! -s close ] && [ ! -s open ] || fail "something was done while a send is at work"
finish_send mirror
wait
assert_same_disk "$data" mirror
