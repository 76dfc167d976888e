# SPDX-License-Identifier: GPL-3.0-or-later
# Repositories, and what each of their points must be. For point N that is the file reference-N: the streams that the
# repository has got were applied to a mirror that knows nothing of repositories.

# back_up NAME REPO [OPTION OF era send]...: one point more, with its reference; $point is its number.
back_up() {
    local cursor=
    [ ! -e "$2/manifest.json" ] || cursor=$(era points --cursor "$2")
    era send "$1" ${cursor:+--since "$cursor"} "${@:3}" 2>said | tee stream | era receive "$2" 2>received
    era apply --require-end mirror <stream
    point=$(last_point "$2")
    cp --sparse=always mirror "reference-$point"
}

# points_of REPO: their numbers, oldest first.
points_of() {
    local id
    # Status 1 says that there are none.
    { era points "$1" || [ $? = 1 ]; } | while read -r id _; do
        [[ ! $id =~ ^[0-9]+$ ]] || echo "$id"
    done
}

last_point() {
    local points
    points=($(points_of "$1"))
    echo "${points[-1]}"
}

# references: the numbers of the points that there must be.
references() {
    ls | sed -n 's/^reference-//p' | sort -n
}

# assert_points REPO: there are those that there must be, each is what it was, and so says era verify.
assert_points() {
    local id
    assert_equal "$(echo $(references))" "$(echo $(points_of "$1"))" "points of $1"
    for id in $(references); do
        era restore --force "$1@$id" restored 2>restore-said
        assert_same_disk "reference-$id" restored
    done
    rm -f restored
    assert_exit 0 era verify "$1"
}
