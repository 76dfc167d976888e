# SPDX-License-Identifier: GPL-3.0-or-later
# More is written during the copy than the snapshot has room for: the pass ends in order, another pass comes first, and the
# copy is of one moment nevertheless; also where that room cannot be written. If that happens again and again, it ends
# with numbers, and nothing is left.
# time limit: 400

create_stack vol 48M 8M --block-size 64K --cow-size 4M
cursor=
send vol mirror
grep "full, 48.0 MiB in 2 passes" said

# overflow: overwrites more than 4 MiB that the snapshot must keep.
overflow() {
    write_blocks /dev/mapper/vol 128 $((RANDOM % 512)) 100
}
passes() {
    era inspect --json stream >inspected
    json_number passes inspected
}

# Before the first read, and after the last, when nothing fails any more.
for step in resumed copying; do
    write_blocks /dev/mapper/vol 128 5 3
    start_paused vol $step
    overflow
    finish_send mirror
    cat said
    grep "more was written during the copy than the 4.0 MiB of snapshot space hold, or .*; another pass first" said
    grep "one moment, from a snapshot" said
    assert_equal 3 "$(passes)" "passes: the one that failed, another one, the cut"
    assert_same_disk /dev/mapper/vol mirror
    assert_nothing_left vol
done

# The kernel says no more when the space cannot be written.
cow_table=$(dmsetup table vol-cow)
cow_is() {
    dmsetup load vol-cow --table "$1"
    dmsetup resume vol-cow
}
start_paused vol resumed
cow_is "0 $(sectors_of /dev/mapper/vol-cow) error"
write_blocks /dev/mapper/vol 128 9 1
cow_is "$cow_table"
finish_send mirror
cat said
grep "the snapshot was lost: .*or writing to that space failed.*; another pass first" said
assert_same_disk /dev/mapper/vol mirror
assert_nothing_left vol

# Each time.
write_blocks /dev/mapper/vol 128 5 3
start_paused vol resumed@1,resumed@2,resumed@3 --max-passes 3
overflow
go_on
overflow
go_on
overflow
kill -CONT $sender
status=0
wait $sender || status=$?
cat said
assert_equal 2 $status "status"
grep "no consistent copy after 3 passes: [0-9.]* MiB changed during the last one.*the cut may take 4.0 MiB of snapshot space.*--max-passes" said
assert_exit 2 era apply --require-end mirror-of-no-use <stream
assert_nothing_left vol
send vol mirror
assert_same_disk /dev/mapper/vol mirror

# A program that never rests makes no difference to how it ends.
keep_overflowing() {
    until [ -e overflowing-stop ]; do
        overflow
    done
}
keep_overflowing &
writer=$!
for _ in 1 2 3; do
    status=0
    era send vol --since "$cursor" --max-passes 4 >stream 2>said || status=$?
    [ $status = 0 ] || grep "no consistent copy after 4 passes" said
    assert_nothing_left vol
done
: >overflowing-stop
wait $writer
send vol mirror
assert_same_disk /dev/mapper/vol mirror
