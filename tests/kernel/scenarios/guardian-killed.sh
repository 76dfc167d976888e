# SPDX-License-Identifier: GPL-3.0-or-later
# The guardian itself is killed, by an out-of-memory killer for example: the sender says so and leaves nothing behind. If both
# are killed while writes wait, the next command lets them through.
# time limit: 400

create_stack vol 32M 16M
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/mapper/vol
mount /dev/mapper/vol /run/mnt
cursor=
send vol mirror

# has_died PID: it is a zombie, as its parent stands still, and its last thread is gone, which holds its pipes open.
has_died() {
    local fields
    read -r -a fields <"/proc/$1/stat"
    [ "${fields[2]}" = Z ] && [ "${fields[19]}" -le 1 ]
}

for consistency in snapshot freeze none; do
    for step in $(steps_of $consistency); do
        echo "$RANDOM" >/run/mnt/file
        sync -f /run/mnt
        # Which is there from the moment it guards until nothing is left for it to do.
        start_paused vol $step --consistency $consistency --freeze-timeout 10m
        guardian=$(guardian_pid) || guardian=
        if [ -z "$guardian" ]; then
            finish_send mirror
            continue
        fi
        echo "$SECONDS s: $consistency: the guardian is killed at $step"
        kill -KILL $guardian
        wait_until has_died $guardian
        kill -CONT $sender
        status=0
        wait $sender || status=$?
        assert_equal 2 $status "status after the guardian was killed at $step: $(<said)"
        has_line "the guardian process has died" said || fail "$(<said)"
        assert_nothing_left vol
        echo "$RANDOM" >/run/mnt/file
        sync -f /run/mnt

        echo "$SECONDS s: $consistency: both are killed at $step"
        start_paused vol $step --consistency $consistency --freeze-timeout 10m
        kill -KILL "$(guardian_pid)" $sender
        wait $sender || true
        echo "$RANDOM" >/run/mnt/file &
        writer=$!
        # Waits for nothing.
        era open --meta "$meta"
        era changed vol --since "$cursor" --total >total
        wait $writer
        assert_nothing_left vol
        sync -f /run/mnt
        assert_not_frozen /run/mnt
    done
    send vol mirror --consistency snapshot
    e2fsck -fn mirror
done
umount /run/mnt
send vol mirror
assert_same_disk /dev/mapper/vol mirror
