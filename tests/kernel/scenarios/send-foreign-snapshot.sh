# SPDX-License-Identifier: GPL-3.0-or-later
# Commands die and leave a mark that they hold a metadata snapshot; another program takes one afterwards. That one is left
# alone, even where it is in the same place; one that is ours is dropped.

create_stack vol 16M 16M
cursor=
send vol mirror
mark=/run/era/vol/metadata-snapshot

# assert_left_alone: the next command waits for the snapshot's owner.
assert_left_alone() {
    local before after
    before=$(era_status vol)
    era changed vol --since "$cursor" >changed 2>said &
    wait_until has_line "waiting for the metadata snapshot of another program" said
    after=$(era_status vol)
    assert_equal "${before##* }" "${after##* }" "snapshot that is held"
    drop_snapshot vol
    wait $! || fail "$(<said)"
    assert_nothing_left vol
}

# Killed between dropping its own and saying so.
status=0
ERA_FAILPOINT=metadata-snapshot-dropped=kill era send vol --since "$cursor" --consistency none >stream 2>said || status=$?
assert_equal 137 $status "status of a send that was killed"
ours=$(<$mark)
assert_equal "-" "$(era_status vol | cut -d ' ' -f 4)" "snapshot that is held"
take_snapshot vol
echo "ours was ${ours% *}, the other is at $(era_status vol | cut -d ' ' -f 4)"
assert_left_alone

# The same place, whatever the kernel has chosen.
mkdir -p /run/era/vol
take_snapshot vol
printf "%s 1" "$(era_status vol | cut -d " " -f 4)" >$mark
assert_left_alone

# Killed between saying that it takes one and taking it.
mkdir -p /run/era/vol
: >$mark
take_snapshot vol
assert_left_alone

# Killed while it holds one; eras go on before somebody cleans up.
status=0
ERA_FAILPOINT=metadata-read=kill era send vol --since "$cursor" --consistency none >stream 2>said || status=$?
assert_equal 137 $status "status of a send that was killed"
checkpoint vol
era changed vol --since "$cursor" >changed 2>said
! grep waiting said || fail "ours was taken for another's"
assert_nothing_left vol
