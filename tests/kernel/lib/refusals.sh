# SPDX-License-Identifier: GPL-3.0-or-later
# Commands that must refuse, and leave everything as it was.

# state_of DISK...: what a refusal must not change.
state_of() {
    [ $# = 0 ] || sha256sum -- "$@"
    dmsetup table
    if [ -e /etc/eratab ]; then
        mapfile -t eratab </etc/eratab
        printf '%s\n' "${eratab[@]}"
    else
        echo "no eratab"
    fi
    echo /dev/mapper/*
}

# refuses MESSAGE COMMAND...: it ends with status 2 and says so; the disks in $disks, device-mapper and eratab are as before.
refuses() {
    local message=$1
    shift
    state_of $disks >state-before
    assert_exit 2 "$@"
    assert_message "$message"
    [ ! -s stdout ] || fail "$*: printed $(cat stdout)"
    state_of $disks >state-after
    assert_same state-before state-after
}
