# SPDX-License-Identifier: GPL-3.0-or-later
# What `era send` and `era changed` refuse: each time with the reason and the cure, the device left as it was.

create_stack vol 32M 16M
mkfs.ext4 -q /dev/mapper/vol
cursor=
send vol mirror
generation=${cursor%:*}
other=00000000-0000-4000-8000-000000000000

refuse() {
    local status=$1 message=$2
    shift 2
    assert_exit "$status" "$@"
    assert_message "$message"
    [ ! -s stdout ] || fail "$* wrote to stdout"
    assert_nothing_left vol
}

# A cursor of another life of the metadata, or of the future, is no cursor.
refuse 1 "a full copy is needed" era send vol --since "$other:1"
refuse 1 "a full copy is needed" era send vol --since "$generation:4000"
refuse 1 "a full copy is needed" era send vol --since "$generation:4000" --estimate
refuse 1 "a full copy is needed" era changed vol --since "$other:1"
refuse 1 "a full copy is needed" era changed vol --since "$generation:4000"
refuse 2 "is no cursor" era send vol --since 7
refuse 2 "is no cursor" era changed vol --since x

# Unless everything may be sent.
era send vol --since "$other:1" --full 2>said >stream
grep "sending everything" said
era apply --require-end mirror2 <stream
assert_same_disk /dev/mapper/vol mirror2
era inspect --json stream >inspected
grep '"kind":"full"' inspected

refuse 2 "no such active device" era send nothing
refuse 2 "no such active device" era changed nothing --since 1
refuse 2 "not a tracked one" era send vol-data
refuse 2 "number and a unit" era send vol --freeze-timeout 30
refuse 2 "max-passes" era send vol --max-passes 0
refuse 2 "" era changed --since 1
refuse 2 "" era changed vol --metadata "$meta" --since 1

# How much it would be.
write_blocks /dev/mapper/vol 1024 3 2
era send vol --since "$cursor" --estimate >said
assert_equal "increment: 2 blocks, 1.0 MiB of 32.0 MiB" "$(cat said)" "estimate"
era send vol --since "$cursor" --estimate --json >said
assert_equal 1048576 "$(json_number bytes said)" "estimated bytes"
assert_equal "3 5" "$(era changed vol --since "$cursor")" "changed blocks"
assert_equal "3 5" "$(era changed vol --since "${cursor#*:}")" "changed blocks since an era"
assert_nothing_left vol

# Without space for snapshots.
era close --meta "$meta"
create_stack small 32M 4M --cow-size 0
assert_exit 2 era send small --consistency snapshot
assert_message "no space for snapshots"
assert_nothing_left small
cursor=
send small mirror3
assert_same_disk /dev/mapper/small mirror3
