# SPDX-License-Identifier: GPL-3.0-or-later
# Fifty increments of a live filesystem, whose sender is killed now and then, at a step by chance: nothing is lost.
# time limit: 600

create_stack vol 32M 32M --block-size 64K
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/mapper/vol
mount /dev/mapper/vol /run/mnt
start_writer /run/mnt
cursor=
send vol mirror
crashes=0
for increment in $(seq 50); do
    consistencies=(snapshot freeze none)
    consistency=${consistencies[RANDOM % 3]}
    # Three times of four, a sender is killed first; its stream is of no use.
    if [ $((RANDOM % 4)) != 0 ]; then
        steps=($(steps_of $consistency))
        step=${steps[RANDOM % ${#steps[@]}]}
        echo "$SECONDS s: increment $increment: $consistency, killed at $step"
        status=0
        ERA_FAILPOINT=$step=kill era send vol --since "$cursor" --consistency $consistency \
            >interrupted 2>interrupted-said || status=$?
        assert_equal 137 $status "status of a sender that was killed: $(<interrupted-said)"
        assert_exit 2 era apply --require-end of-no-use <interrupted
        crashes=$((crashes + 1))
    fi
    send vol mirror --consistency $consistency
    assert_nothing_left vol
    [ $consistency = none ] || e2fsck -fn mirror >fsck 2>&1 || fail "increment $increment: $(<fsck)"
done
[ $crashes -gt 10 ] || fail "only $crashes crashes"
stop_writer
umount /run/mnt
send vol mirror
assert_same_disk /dev/mapper/vol mirror
