# SPDX-License-Identifier: GPL-3.0-or-later
# Two sends of one device at once: the second says for whom it waits, and then does its work; so do other commands.

create_stack vol 32M 16M
write_blocks /dev/mapper/vol 1024 0 64
cursor=
start_paused vol copying
era send vol >stream-2 2>said-2 &
second=$!
says_who() {
    has_line "waiting for process $sender (era send vol" said-2
}
wait_until says_who
era changed vol --since 1 --total >changed 2>said-3 &
third=$!
wait_until has_line "waiting for process $sender" said-3
# What needs no more than a look does not wait.
assert_exit 0 era status vol --json
assert_exit 2 timeout 20 era open vol

finish_send mirror
wait $second || fail "$(<said-2)"
wait $third
era apply --require-end mirror-2 <stream-2
assert_same_disk mirror mirror-2
assert_same_disk /dev/mapper/vol mirror
assert_nothing_left vol
