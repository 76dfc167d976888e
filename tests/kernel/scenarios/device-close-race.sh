# SPDX-License-Identifier: GPL-3.0-or-later
# Something waits for the raw device to be free and mounts it at once, as automounters do: it gets it only when what the
# device looks like has been recorded, so that its writes are noticed.

create_stack vol 16M 16M
mkfs.ext4 -q /dev/mapper/vol
cursor=
send vol mirror
ERA_FAILPOINT=life-untracked=stop,life-recorded=stop era close --meta "$meta" &
sender=$!
: >said
wait_until has_stopped
assert_exit 32 mount "$data" /run/mnt
go_on
assert_exit 32 mount "$data" /run/mnt
kill -CONT $sender
wait_until mount "$data" /run/mnt 2>/dev/null
wait $sender
umount /run/mnt
era open --meta "$meta" 2>said
grep "something wrote to the data device while it was closed" said
assert_exit 1 era send vol --since "$cursor"
