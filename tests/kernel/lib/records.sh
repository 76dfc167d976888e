# SPDX-License-Identifier: GPL-3.0-or-later
# A program that writes numbered records, from which an image of its filesystem tells of what moment it is.
#
# Record N goes to file N mod 5, in a write of its own (so none is longer than the 1008 bytes that the shell collects), when record N - 1 has been written: so at any one moment all
# records up to some number are there, and none above. It does not sync: a filesystem that is frozen for the cut has
# written out everything.

# start_recording DIRECTORY: the numbers that were written are in the file recorded, one a line.
start_recording() {
    : >recorded
    keep_recording "$1" &
    recorder=$!
}

stop_recording() {
    : >recording-stop
    wait "$recorder"
    rm recording-stop
}

keep_recording() {
    local number=0 padding
    # Nothing ever comes out of it: a rest without a process.
    mkfifo recording-rest
    exec 9<>recording-rest
    padding=$(random_bytes 700 | base64 --wrap=0)
    until [ -e recording-stop ]; do
        number=$((number + 1))
        printf '%d %s\n' $number "$padding" >>"$1/record-$((number % 5))"
        echo $number >>recorded
        read -r -t 0.01 -u 9 || :
        # As much room as the smallest disk has.
        [ $number -lt 6000 ] || fail "too many records"
    done
}

last_recorded() {
    tail -n 1 recorded
}

has_recorded() {
    kill -0 "$recorder" || fail "the recorder has ended"
    [ "$(wc -l <recorded)" -ge "$1" ]
}

# let_record COUNT: until so many more are written.
let_record() {
    wait_until has_recorded $(($(wc -l <recorded) + $1))
}

# records_in DIRECTORY: the highest number, if every one up to it is there once and whole.
records_in() {
    cat "$1"/record-* | awk -v "length_of_rest=$(random_bytes 700 | base64 --wrap=0 | wc -c)" '
        length($2) != length_of_rest || NF != 2 { print "a torn record: " $1 >"/dev/stderr"; exit bad = 1 }
        seen[$1]++ { print "twice: " $1 >"/dev/stderr"; exit bad = 1 }
        { count++; if ($1 > highest) highest = $1 }
        END {
            if (!bad && count != highest) { print count " records, the highest " highest >"/dev/stderr"; bad = 1 }
            if (bad) exit 1
            print highest
        }'
}
