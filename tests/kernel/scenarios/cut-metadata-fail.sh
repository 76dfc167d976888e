# SPDX-License-Identifier: GPL-3.0-or-later
# The metadata device fails while a cut has the device suspended: dm-era cannot be resumed. It is taken out, writes go on,
# whoever of the sender, its guardian and the next command is left to do it. Everything says so, old cursors are refused,
# and `era open` tracks it again while it is mounted.
# time limit: 400

data=$(new_disk vol-data 32M)
disk=$(new_disk vol-meta 32M)
meta=/dev/mapper/mdisk
dmsetup create mdisk --table "0 $(sectors_of "$disk") linear $disk 0"
era create vol --data "$data" --meta $meta --no-eratab
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/mapper/vol
mount /dev/mapper/vol /run/mnt
cursor=
send vol mirror

metadata_disk_is() {
    dmsetup reload mdisk --table "0 $(sectors_of "$disk") $1"
    dmsetup suspend mdisk
    dmsetup resume mdisk
}
target_of() {
    dmsetup table "$1" | cut -d ' ' -f 3
}
is_passed_on() {
    [ "$(target_of vol)" = linear ]
}
write_to_vol() {
    date >/run/mnt/date
    sync -f /run/mnt
}
# assert_tracked_again: with nothing of before.
assert_tracked_again() {
    assert_exit 1 era send vol --since "$cursor"
    assert_message "a full copy is needed"
    cursor=
    send vol mirror
    grep "full" said
    write_to_vol
    send vol mirror
    grep "increment" said
    write_to_vol
    assert_nothing_left vol
}

# The sender.
start_paused vol suspended --consistency snapshot --freeze-timeout 10m
metadata_disk_is error
status=0
kill -CONT $sender
wait $sender || status=$?
cat said
assert_equal 2 $status "status of the sender"
grep "vol: NOT TRACKED: .*era open vol" said
grep "old cursors could not be made invalid" said
is_passed_on
write_to_vol
assert_exit 1 era status vol
grep "NOT TRACKED" stdout
assert_exit 2 era send vol --since "$cursor"
assert_message "NOT TRACKED"
assert_exit 2 era open --meta $meta
is_passed_on
metadata_disk_is "linear $disk 0"
assert_exit 2 era send vol --since "$cursor"
assert_message "NOT TRACKED"
assert_exit 2 era changed vol --since "$cursor"
write_to_vol
era open --meta $meta 2>said
grep "new generation" said
assert_equal era "$(target_of vol)" "target"
assert_tracked_again

# The guardian, of a sender that is killed.
start_paused vol suspended --consistency none --freeze-timeout 10m
metadata_disk_is error
kill -KILL $sender
wait $sender || true
write_to_vol
is_passed_on
metadata_disk_is "linear $disk 0"
# Closed, it must not pass for one that was tracked until then.
umount /run/mnt
era close --meta $meta
era open --meta $meta
mount /dev/mapper/vol /run/mnt
assert_tracked_again

# The next command, where both are killed.
start_paused vol suspended --consistency freeze --freeze-timeout 10m
metadata_disk_is error
kill -KILL "$(guardian_pid)" $sender
wait $sender || true
write_to_vol &
writer=$!
timeout 30 era status vol >status || true
grep "suspended" status
assert_exit 2 era changed vol --since "$cursor"
assert_message "NOT TRACKED"
wait $writer
is_passed_on
metadata_disk_is "linear $disk 0"
era open --meta $meta
assert_tracked_again
umount /run/mnt
send vol mirror
assert_same_disk /dev/mapper/vol mirror
