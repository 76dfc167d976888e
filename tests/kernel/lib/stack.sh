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
    take_cursor
}

# take_cursor: sets $cursor to the one to continue from, of the file said.
take_cursor() {
    local line
    cursor=
    while IFS= read -r line; do
        [[ $line != *"next time: --since "* ]] || cursor=${line##*"next time: --since "}
    done <said
    [ -n "$cursor" ] || fail "the sender names no cursor: $(<said)"
}

# assert_nothing_left NAME: no snapshot, nothing suspended or held, no table but the usual, no process. Whether anything
# is frozen shows when somebody writes. Few processes, as this is asked often.
assert_nothing_left() {
    local dir name key value more layers=0 era= linear=
    # Asking for the status blocks if anything is suspended.
    for dir in /sys/block/dm-*/dm; do
        read -r name <"$dir/name"
        read -r value <"$dir/suspended"
        assert_equal 0 "$value" "suspended: $name"
    done
    dmsetup status -v >left-status
    while read -r key value more; do
        case $key in
        Name:)
            name=$value
            case $name in
            "$1" | "$1-data" | "$1-meta" | "$1-cow") layers=$((layers + 1)) ;;
            "$1-snap") fail "$name is left" ;;
            *) name= ;;
            esac
            ;;
        State:) [ -z "$name" ] || assert_equal ACTIVE "$value" "state of $name" ;;
        Tables) [ -z "$name" ] || assert_equal "present: LIVE" "$value $more" "tables of $name" ;;
        0)
            case $name in
            "$1") era=$more ;;
            "$1-data") linear=$more ;;
            esac
            ;;
        esac
    done <left-status
    [ $layers -gt 0 ] || fail "there is no $1"
    [[ $era =~ ^era\ .*\ -$ ]] || fail "a metadata snapshot is left: $era"
    [ $layers = 1 ] || assert_equal linear "$linear" "target of $1-data"
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
