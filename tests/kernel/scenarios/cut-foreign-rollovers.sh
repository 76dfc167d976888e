# SPDX-License-Identifier: GPL-3.0-or-later
# Between any two steps of a send somebody else writes, ends the era, writes again, and takes or drops metadata snapshots:
# no write is lost. Some blocks are sent twice.
# time limit: 400

create_stack vol 16M 16M --block-size 64K
cursor=
send vol mirror

# meddle: as a monitoring script may, or another backup program.
meddle() {
    local block
    for block in $((RANDOM % 256)) $((RANDOM % 256)); do
        write_blocks /dev/mapper/vol 128 $block 1
        checkpoint vol
    done
    # The sender's, if it has one.
    drop_snapshot vol 2>/dev/null || true
    take_snapshot vol
    write_blocks /dev/mapper/vol 128 $((RANDOM % 256)) 1
    drop_snapshot vol
    write_blocks /dev/mapper/vol 128 $((RANDOM % 256)) 1
}

for consistency in snapshot none; do
    for step in $(steps_of $consistency); do
        # While it is suspended, nobody can.
        case $step in suspended | snapshot-active | origin-active) continue ;; esac
        write_blocks /dev/mapper/vol 128 $((RANDOM % 256)) 1
        start_paused vol $step --consistency $consistency --freeze-timeout 10m
        meddle
        finish_send mirror
        assert_nothing_left vol
        send vol mirror
        assert_same_disk /dev/mapper/vol mirror
        echo "$SECONDS s: $consistency: meddled at $step"
    done
done

# One that another program holds on to is waited for, and then named.
take_snapshot vol
assert_exit 2 era send vol --since "$cursor"
assert_message "another program holds a metadata snapshot.*drop_metadata_snap"
era_status vol | grep -v -- "-$" || fail "the snapshot of another program was dropped"
drop_snapshot vol
assert_nothing_left vol
