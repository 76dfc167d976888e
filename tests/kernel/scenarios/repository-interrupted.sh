# SPDX-License-Identifier: GPL-3.0-or-later
# A backup whose sender dies at any step of the cut, or that is itself told to end, or killed: writes to the device go on, the hook
# that puts things in order runs when they do, no point is added, and the next run succeeds.
# time limit: 240

repo=$PWD/repo
create_stack vol 32M 32M
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/mapper/vol
mount /dev/mapper/vol /run/mnt
start_writer /run/mnt
# A hook that writes to the device would wait for ever if that were suspended.
cat >vol.toml <<END
source = "vol"
repository = "$repo"
metrics = "$PWD/era.prom"
[hooks]
before_cut = "echo before >>$PWD/hooks"
after_cut = "echo after \$ERA_RESULT >>$PWD/hooks; echo \$ERA_ERROR >/run/mnt/hook; sync -f /run/mnt"
END
era backup --config ./vol.toml
assert_equal "before after success" "$(echo $(<hooks))" "hooks of a good run"

# assert_as_before POINTS
assert_as_before() {
    assert_equal "before after failure" "$(echo $(<hooks))" "hooks"
    assert_nothing_left vol
    assert_equal "$1" "$(points_of $repo | wc -l)" "points"
    assert_equal 0 "$(sed -n 's/^era_backup_last_run_success.* //p' era.prom)" "success"
    let_writer_work 1
}

for step in $(steps_of snapshot); do
    rm hooks
    ERA_FAILPOINT="$step=kill" assert_exit 2 era backup --config ./vol.toml
    assert_message "era send on this machine: was ended by signal 9"
    # Its guardian may be at work still.
    era changed vol --since 1 --total >changed-total
    assert_as_before 1
done
# What was begun goes, and what was written is there.
era backup --config ./vol.toml
assert_equal 2 "$(points_of $repo | wc -l)" points

# Told to end while there is a snapshot; a process that stands gets to know of it when it goes on.
for signal in TERM:143 HUP:129 INT:130; do
    rm hooks
    ERA_FAILPOINT="copying=stop" era backup --config ./vol.toml 2>backup-said &
    backup=$!
    wait_until sender_stands $backup
    kill -"${signal%:*}" $backup
    kill -CONT "$sender"
    status=0
    wait $backup || status=$?
    assert_equal "${signal#*:}" $status "status: $(<backup-said)"
    has_line "backup of vol: interrupted: " backup-said || fail "$(<backup-said)"
    assert_as_before 2
done

# Killed: sender and receiver notice.
rm hooks
ERA_FAILPOINT="copying=stop" era backup --config ./vol.toml 2>backup-said &
backup=$!
wait_until sender_stands $backup
kill -KILL $backup
kill -CONT "$sender"
wait $backup || :
no_sender() { [ ! -e "/proc/$sender" ]; }
wait_until no_sender
era changed vol --since 1 --total >changed-total
assert_nothing_left vol
let_writer_work 1
era backup --config ./vol.toml
assert_equal 3 "$(points_of $repo | wc -l)" points
stop_writer
era verify $repo
assert_exit 0 era verify $repo vol
