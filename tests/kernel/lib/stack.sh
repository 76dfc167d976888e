# SPDX-License-Identifier: GPL-3.0-or-later
# Tracked devices as `era create` makes them, and mirrors of them.

# create_stack NAME DATA_SIZE META_SIZE [OPTION OF era create]...: sets $data and $meta.
create_stack() {
    data=$(new_disk "$1-data" "$2")
    meta=$(new_disk "$1-meta" "$3")
    era create "$1" --data "$data" --meta "$meta" --no-eratab "${@:4}"
}

# send NAME MIRROR [OPTION OF era send]...: brings a mirror up to date from cursor $cursor, which is empty at first,
# and moves the cursor. What the sender says is left in the file said.
send() {
    era send "$1" ${cursor:+--since "$cursor"} "${@:3}" 2>said >stream
    era apply --require-end "$2" <stream
    cursor=$(sed -n 's/.*next time: --since //p' said)
    [ -n "$cursor" ] || fail "the sender names no cursor: $(cat said)"
}

# assert_nothing_left NAME: no snapshot, nothing suspended or held, no table but the usual, no process. Whether anything
# is frozen shows when somebody writes. Few processes, as this is asked often.
assert_nothing_left() {
    local name state layers=0 status
    dmsetup info -c --noheadings --separator ' ' -o name,tables_loaded,suspended >left-devices
    while read -r name state; do
        case $name in
        "$1" | "$1-data" | "$1-meta" | "$1-cow")
            assert_equal "Live Active" "$state" "state of $name"
            layers=$((layers + 1))
            ;;
        "$1-snap") fail "$name is left" ;;
        esac
    done <left-devices
    [ $layers -gt 0 ] || fail "there is no $1"
    # Which blocks if anything is suspended.
    status=$(dmsetup status)
    [[ $'\n'$status =~ $'\n'"$1: "[^$'\n']*" -"($'\n'|$) ]] || fail "a metadata snapshot is left: $status"
    [ $layers = 1 ] || [[ $'\n'$status =~ $'\n'"$1-data: 0 "[0-9]+" linear" ]] || fail "no linear: $status"
    [ ! -e "/run/era/$1" ] || fail "traces are left: $(ls "/run/era/$1")"
    ! guardian_pid || fail "a guardian is left"
}

# guardian_pid: fails where there is none.
guardian_pid() {
    local file word
    for file in /proc/[0-9]*/cmdline; do
        # Processes go.
        read -r -d '' word 2>/dev/null <"$file" || continue
        if [ "$word" = /proc/self/exe ]; then
            file=${file#/proc/}
            echo "${file%/*}"
            return
        fi
    done
    return 1
}

# assert_not_frozen DIRECTORY: a filesystem that is frozen cannot be frozen once more.
assert_not_frozen() {
    fsfreeze --freeze "$1" || fail "$1 is frozen"
    fsfreeze --unfreeze "$1"
}
