# SPDX-License-Identifier: GPL-3.0-or-later
# A program that keeps changing a filesystem while it is being backed up.

# start_writer DIRECTORY: it appends a dot to the file writer-rounds for each round that it has done. It rests for
# $writer_rest seconds after each, if that is set.
start_writer() {
    : >writer-rounds
    keep_writing "$1" &
    writer=$!
}

stop_writer() {
    : >writer-stop
    wait "$writer"
}

# pause_writer: returns when it has no work under way.
pause_writer() {
    : >writer-pause
    wait_until test -e writer-paused
}

resume_writer() {
    rm writer-pause
}

# let_writer_work ROUNDS: until it has done that many more.
let_writer_work() {
    local rounds
    rounds=$(<writer-rounds)
    wait_until writer_has_done $((${#rounds} + $1))
}

writer_has_done() {
    local rounds
    kill -0 "$writer" || fail "the writer has ended"
    rounds=$(<writer-rounds)
    [ ${#rounds} -ge "$1" ]
}

# Twenty-one rounds do each of three things to each of seven files. Processes are dear in this machine: most of the
# work is done by the shell itself.
keep_writing() {
    local round=0 file data
    [ -e writer-rest ] || mkfifo writer-rest
    exec 9<>writer-rest
    data=$(random_bytes 48000 | base64 --wrap=0)
    until [ -e writer-stop ]; do
        if [ -e writer-pause ]; then
            : >writer-paused
            wait_until test ! -e writer-pause
            rm writer-paused
        fi
        file=$1/file-$((round % 7))
        case $((round % 3)) in
        0) printf '%s' "$round $data$data$data" >"$file" ;;
        1) printf '%s' "$round ${data:round % 16:20000}" 1<>"$file" && sync "$file" ;;
        2) rm -f "$file" ;;
        esac
        round=$((round + 1))
        printf . >>writer-rounds
        # Nothing ever comes out of it.
        [ -z "${writer_rest-}" ] || read -r -t "$writer_rest" -u 9 || :
    done
}
