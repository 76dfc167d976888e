# SPDX-License-Identifier: GPL-3.0-or-later
# A program that keeps changing a filesystem while it is being backed up: writer.pl.

# start_writer DIRECTORY: the file writer-rounds has the number of rounds that it has done.
start_writer() {
    echo 0 >writer-rounds
    perl "$ERA_TEST_DIR/lib/writer.pl" "$1" &
    writer=$!
}

stop_writer() {
    : >writer-stop
    wait "$writer"
}

# pause_writer: returns when it has no work under way.
pause_writer() {
    : >writer-pause
    wait_until writer_is_paused
}

writer_is_paused() {
    [ -e writer-paused ]
}

resume_writer() {
    rm writer-pause
}

# let_writer_work ROUNDS: until it has done that many more.
let_writer_work() {
    local rounds
    read -r rounds <writer-rounds
    wait_until writer_has_done $((rounds + $1))
}

writer_has_done() {
    local rounds
    kill -0 "$writer" || fail "the writer has ended"
    read -r rounds <writer-rounds
    [ "$rounds" -ge "$1" ]
}
