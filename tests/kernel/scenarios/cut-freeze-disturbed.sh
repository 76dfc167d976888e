# SPDX-License-Identifier: GPL-3.0-or-later
# A copy of a frozen filesystem is of one moment only if it was frozen all the time. A process that stands still before it
# freezes, for longer than the limit, freezes nothing that stays so; and when another program thaws the filesystem during
# the copy, that counts as a pass, not as the cut.
# time limit: 400

create_stack vol 32M 32M
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/mapper/vol
mount /dev/mapper/vol /run/mnt
cursor=
send vol mirror

# Thawed by somebody else, once, and then let alone.
date >/run/mnt/date
start_paused vol copying --consistency freeze
fsfreeze --unfreeze /run/mnt
date >/run/mnt/date2
sync -f /run/mnt
finish_send mirror
cat said
grep "another program thawed the filesystem" said
grep "increment, .* in 2 passes, one moment, frozen" said
assert_nothing_left vol
assert_not_frozen /run/mnt

# Each time.
date >/run/mnt/date
start_paused vol resumed@1,resumed@2 --consistency freeze --max-passes 2
fsfreeze --unfreeze /run/mnt
go_on
fsfreeze --unfreeze /run/mnt 2>/dev/null || true
status=0
kill -CONT $sender
wait $sender || status=$?
cat said
assert_equal 2 $status "status of a sender that never had the filesystem frozen"
! grep "one moment, frozen" said || fail "said to be of one moment"

# Nobody reads the stream, so that nothing but the limit ends what is frozen.
mkfifo pipe
exec 8<>pipe
ERA_FAILPOINT=armed=stop era send vol --consistency freeze --freeze-timeout 1s >pipe 2>said &
sender=$!
wait_until has_stopped
# Past the limit.
sleep 1.5
kill -CONT $sender
date >/run/mnt/date
sync -f /run/mnt
status=0
wait $sender || status=$?
cat said
assert_equal 2 $status "status of a sender that stood still"
grep "held back for longer than the limit" said
assert_nothing_left vol
assert_not_frozen /run/mnt
exec 8>&-
umount /run/mnt
send vol mirror
assert_same_disk /dev/mapper/vol mirror
