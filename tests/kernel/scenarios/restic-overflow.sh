# SPDX-License-Identifier: GPL-3.0-or-later
# More is written during a backup than the snapshot has room for: another pass comes first, and what plain restic gives back is of one
# moment. Where it happens each time, there is no new snapshot, and the next backup misses nothing.
# program: with restic
# needs: restic

export RESTIC_REPOSITORY=/run/host/repository
repository=restic:$RESTIC_REPOSITORY

# back_up_paused STEPS: in the background, as $backup; its sender, $sender, stops at each of the steps.
back_up_paused() {
    ERA_FAILPOINT=${1//,/=stop,}=stop era backup --config ./job.toml --json >done.json 2>said &
    backup=$!
    wait_until sender_stands $backup
}

# overflow: overwrites more than 4 MiB that the snapshot must keep.
overflow() {
    write_blocks /dev/mapper/vol 128 $((RANDOM % 280)) 100
}

create_stack vol 24M 8M --block-size 64K --cow-size 4M
write_blocks /dev/mapper/vol 128 0 40
make_restic_repository "$RESTIC_REPOSITORY"
era backup vol $repository

cat >job.toml <<END
source = "vol"
repository = "$repository"
max_passes = 3
END

write_blocks /dev/mapper/vol 128 5 3
back_up_paused resumed
overflow
kill -CONT "$sender"
wait $backup || fail "$(<said)"
has_line "more was written during the copy than the 4.0 MiB of snapshot space hold, or .*; another pass first" said || fail "$(<said)"
assert_equal 3 "$(json_number passes done.json)" "passes: the one that failed, another one, the cut"
assert_nothing_left vol
assert_restic_has /dev/mapper/vol
assert_equal 2 "$(snapshots)" "snapshots"

back_up_paused resumed@1,resumed@2,resumed@3
overflow
go_on
overflow
go_on
overflow
kill -CONT "$sender"
status=0
wait $backup || status=$?
assert_equal 2 $status "status: $(<said)"
has_line "no consistent copy after 3 passes" said || fail "$(<said)"
assert_nothing_left vol
cp dumped before
assert_restic_has before
assert_equal 2 "$(snapshots)" "snapshots"
era backup vol $repository
assert_restic_has /dev/mapper/vol
assert_equal 3 "$(snapshots)" "snapshots"
