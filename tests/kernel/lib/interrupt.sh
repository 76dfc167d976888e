# SPDX-License-Identifier: GPL-3.0-or-later
# Sends that are interrupted: at every step of the cut, in every way, with the tracked device below a filesystem with
# a writer, or below the root of everything that takes part.

# What stands before a command so that it runs where the sender is to live: nothing, or "${in_root[@]}" of root.sh.
place=()

# steps_of CONSISTENCY: the names of the moments that a send passes, in their order. `@2` is the second time: the
# metadata are read before the cut, and again within.
steps_of() {
    local read="metadata-snapshot-taken metadata-read metadata-snapshot-dropped"
    case $1 in
    snapshot)
        echo $read guarded snapshot-made prepared armed suspended snapshot-active origin-active resumed \
            ${read// /@2 }@2 copying copied linear-loaded linear-active removed finishing
        ;;
    freeze) echo $read guarded armed frozen suspended resumed ${read// /@2 }@2 copying copied thawed finishing ;;
    none) echo guarded armed suspended resumed $read copying finishing ;;
    esac
}

# assert_steps_are_known: those of steps_of are all that the program has. Those that begin with `life-`
# (creating and opening) or `status-` are no steps of a send.
assert_steps_are_known() {
    local source=$ERA_TEST_DIR/../../src/device
    grep -rhoE 'failpoint::reach\("[a-z-]+"|\("[a-z-]+", DmRequest' "$source" | grep -oE '"[a-z-]+"' |
        tr -d '"' | grep -v -e '^life-' -e '^status-' | sort -u >steps-of-program
    for consistency in snapshot freeze none; do steps_of $consistency; done |
        tr ' ' '\n' | sed 's/@.*//' | sort -u >steps-of-tests
    diff steps-of-program steps-of-tests || fail "steps of the program and of the tests differ"
}

# interrupt_everywhere NAME MIRROR CONSISTENCY ACTION...: in each way at each step; now and then the mirror is looked at.
interrupt_everywhere() {
    local action step
    for action in "${@:4}"; do
        for step in $(steps_of "$3"); do
            interrupt "$1" "$3" "$step" "$action"
        done
        assert_mirror "$1" "$2"
    done
}

# interrupt_where_held NAME MIRROR CONSISTENCY: killed at each step; and made to stand still where writes are held, which is
# what it means that everything is on the device: elsewhere nothing waits for the sender.
interrupt_where_held() {
    local step
    interrupt_everywhere "$1" "$2" "$3" kill
    for step in $(steps_of "$3"); do
        case $step in
        frozen | suspended | snapshot-active | origin-active | resumed) interrupt "$1" "$3" "$step" stop ;;
        esac
    done
    assert_mirror "$1" "$2"
}

# interrupt_in_turn NAME MIRROR CONSISTENCY ACTION...: in one way at each step, by turns: ways that end a process alike.
interrupt_in_turn() {
    local step turn=0 actions=("${@:4}")
    for step in $(steps_of "$3"); do
        interrupt "$1" "$3" "$step" "${actions[turn % ${#actions[@]}]}"
        turn=$((turn + 1))
    done
    assert_mirror "$1" "$2"
}

# interrupt NAME CONSISTENCY STEP ACTION: sends, from $cursor, and is interrupted. Writes go on, and after another command
# nothing is left.
interrupt() {
    local name=$1 consistency=$2 step=$3 action=$4
    interruptions=$((${interruptions:-0} + 1))
    echo "$SECONDS s: $name: $consistency: $action at $step"
    # Written out by the cut itself, if it comes to that.
    echo "$RANDOM" >"/run/mnt/before-$interruptions"
    case $action in
    stop) stop_and_continue "$@" ;;
    *) send_and_die "$@" ;;
    esac
    echo "$RANDOM" >"/run/mnt/after-$interruptions"
    next_command "$name"
}

# The limit is long: whatever goes on does not go on because of it.
send_and_die() {
    local name=$1 consistency=$2 step=$3 action=$4 status=0
    start_send "$name" "$consistency" "$step" "$action" 10m
    wait $sender || status=$?
    # Where the step is never reached, the send succeeds.
    assert_equal "${status_of[$action]}" "$status" "status after $action at $step: $(<interrupted-said)"
    let_writer_work 1
}

# start_send NAME CONSISTENCY STEP ACTION LIMIT: in the background, as $sender. With its root on the device, from the last
# moment before the cut on nothing of that is in memory but what the sender and its guardian hold there.
start_send() {
    local points=$3=$4 forget=no
    case ${#place[@]}:$3 in
    0:*) ;;
    *:frozen | *:suspended | *:snapshot-active | *:origin-active | *:resumed)
        points=armed=stop,$points
        forget=yes
        ;;
    esac
    ERA_FAILPOINT=$points "${place[@]}" era send "$1" --since "$cursor" --consistency "$2" --freeze-timeout "$5" \
        >interrupted 2>interrupted-said &
    sender=$!
    if [ $forget = yes ]; then
        wait_until is_stopped $sender
        forget_root
        kill -CONT $sender
    fi
}

# Of a process that has ended in such a way.
declare -A status_of=([kill]=137 [term]=143 [hup]=129 [epipe]=141)

# A process that stands still is not dead: the limit must end what it has begun.
stop_and_continue() {
    local name=$1 consistency=$2 step=$3 status=0
    start_send "$name" "$consistency" "$step" stop 500ms
    wait_until is_stopped $sender
    let_writer_work 1
    kill -CONT $sender
    wait $sender || status=$?
    case $status in
    # What was held back for too long is no copy of one moment.
    2) has_line "held back for longer than the limit" interrupted-said || fail "$(<interrupted-said)" ;;
    0) era inspect interrupted >inspected ;;
    *) fail "status $status after stop at $step: $(<interrupted-said)" ;;
    esac
}

# is_stopped PID: which must not have ended.
is_stopped() {
    local state
    read -r _ _ state _ <"/proc/$1/stat" || fail "the sender has ended: $(<interrupted-said)"
    [ "$state" != Z ] || fail "the sender has ended: $(<interrupted-said)"
    [ "$state" = T ]
}

# next_command NAME: it waits for the guardian, and afterwards everything is as if nothing had been.
next_command() {
    "${place[@]}" era changed "$1" --since "$cursor" --total >changed-total
    assert_nothing_left "$1"
}

# assert_mirror NAME MIRROR: the increment from the old cursor makes a mirror what the device is. The writer rests.
assert_mirror() {
    pause_writer
    sync -f /run/mnt
    # A send that freezes nothing, as freezing writes to the filesystem when it ends.
    "${place[@]}" era send "$1" --since "$cursor" --consistency none 2>said >stream
    era apply --require-end "$2" <stream
    take_cursor
    # Past the page cache, which does not see what the filesystem wrote.
    dd if="/dev/mapper/$1" of=device-now bs=1M iflag=direct status=none
    assert_same_disk device-now "$2"
    rm device-now
    resume_writer
}
