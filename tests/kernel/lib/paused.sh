# SPDX-License-Identifier: GPL-3.0-or-later
# Sends that stand still at steps of the cut, so that a scenario can do something in between.

# start_paused NAME STEPS [OPTION OF era send]...: in the background, as $sender; it stops at each of the steps (as in
# ERA_FAILPOINT, with commas between). Its stream is the file stream, what it says the file said.
start_paused() {
    local points=${2//,/=stop,}=stop
    ERA_FAILPOINT=$points era send "$1" ${cursor:+--since "$cursor"} "${@:3}" >stream 2>said &
    sender=$!
    wait_until has_stopped
}

# has_stopped: whether the sender stands still. That it has ended is a failure.
has_stopped() {
    local state=Z
    read -r _ _ state _ <"/proc/$sender/stat" || true
    [ "$state" != Z ] || fail "the sender has ended: $(<said)"
    [ "$state" = T ]
}

# go_on: until the next of the steps. The signal takes effect before kill returns: no old stop is seen here.
go_on() {
    kill -CONT "$sender"
    wait_until has_stopped
}

# finish_send MIRROR: lets it end, applies the stream and moves the cursor.
finish_send() {
    # Told to go on before, it may be done.
    kill -CONT "$sender" 2>/dev/null || true
    wait "$sender" || fail "the sender failed: $(<said)"
    era apply --require-end "$1" <stream
    take_cursor
}

# sender_of PID: of a backup.
sender_of() {
    local file word=()
    for file in /proc/[0-9]*/cmdline; do
        mapfile -d '' -t word <"$file" 2>/dev/null || continue
        if [ "${word[1]-}" = send ] && has_line "^PPid:[[:space:]]*$1\$" "${file%cmdline}status"; then
            file=${file#/proc/}
            echo "${file%/*}"
            return
        fi
    done
    return 1
}

# sender_stands PID: the sender of a backup is there, as $sender, and at its step.
sender_stands() {
    sender=$(sender_of "$1") && is_stopped "$sender"
}
