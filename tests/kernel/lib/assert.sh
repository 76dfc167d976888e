# SPDX-License-Identifier: GPL-3.0-or-later
# Checks. Each says what it wanted and what it got, as the reader cannot look into the machine afterwards.

# The place is the line of the scenario, however deep in lib/ the failure is: the last caller but run.sh.
fail() {
    echo "FAIL: $* (${BASH_SOURCE[-2]##*/}:${BASH_LINENO[-3]})" >&2
    exit 1
}

# assert_equal EXPECTED ACTUAL WHAT
assert_equal() {
    [ "$1" = "$2" ] || fail "$3: expected '$1', got '$2'"
}

# assert_same FILE FILE: says where they differ.
assert_same() {
    cmp -- "$1" "$2" || fail "$1 and $2 differ"
}

# assert_same_disk FILE FILE: the same for devices and images.
assert_same_disk() {
    perl "$ERA_TEST_DIR/lib/same_disk.pl" "$1" "$2" || assert_same "$1" "$2"
}

# assert_differ FILE FILE
assert_differ() {
    ! cmp -s -- "$1" "$2" || fail "$1 and $2 are the same"
}

# assert_exit STATUS COMMAND...: commands only, no functions, as those would run without errexit here.
# What the command printed is left in the files stdout and stderr.
assert_exit() {
    local expected=$1 status=0
    shift
    "$@" >stdout 2>stderr || status=$?
    [ "$status" = "$expected" ] || fail "$*: expected exit $expected, got $status: $(tail -n 5 stderr)"
}

# assert_message PATTERN: the last assert_exit's command said this to people.
assert_message() {
    has_line "$1" stderr || fail "no '$1' in: $(<stderr)"
}

# has_line PATTERN FILE: like grep -q, for patterns of `.`, `*`, `[...]`, `^` and `$`, and without a process.
has_line() {
    local pattern=$1 line character
    # What means something else here than there.
    for character in '(' ')' '{' '}' '+' '?' '|'; do
        pattern=${pattern//"$character"/"\\$character"}
    done
    while IFS= read -r line || [ -n "$line" ]; do
        [[ ! $line =~ $pattern ]] || return 0
    done <"$2"
    return 1
}

# wait_until COMMAND...: for what happens soon, but not at once. The limit only ends a test that has failed.
wait_until() {
    local tries=0
    until "$@"; do
        tries=$((tries + 1))
        [ "$tries" -lt 3000 ] || fail "waited in vain for: $*"
        rest 0.02
    done
}

# rest SECONDS: like sleep, but not a process, which is dear in this machine. Nothing ever comes out of that pipe.
rest() {
    read -r -t "$1" <>/run/nothing || :
}
