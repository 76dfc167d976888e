# SPDX-License-Identifier: GPL-3.0-or-later
# `era status` while devices come and go, as the snapshots of sends do: those that are gone are not shown, and nothing fails.

create_stack vol 16M 16M
dmsetup create odd --table "0 8 zero"
bare_data=$(new_disk bare-data 8M)
bare_meta=$(new_disk bare-meta 4M)
make_era bare "$bare_data" "$bare_meta" 128

era status >out
grep "^vol   *open  *16.0 MiB  *1  *[0-9]* %  */dev/" out || fail "$(cat out)"
grep "^bare  *open  *8.0 MiB " out || fail "$(cat out)"

ERA_FAILPOINT=status-listed=stop era status >out 2>err &
sender=$!
wait_until is_stopped $sender
dmsetup remove odd
dmsetup remove bare
kill -CONT $sender
wait $sender || fail "$(cat out err)"
grep "^vol  *open" out
! grep bare out || fail "$(cat out)"
assert_equal "" "$(cat err)" "messages"
