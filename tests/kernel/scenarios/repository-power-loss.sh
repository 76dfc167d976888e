# SPDX-License-Identifier: GPL-3.0-or-later
# The power fails while a stream is received, at a moment by chance, and with it every cache is lost, but for a file that
# happened to be written out. Afterwards the repository is at its previous point or at the new one, bit for bit, and goes on.
# time limit: 240
# disk: files 200

block=64K
increments=9

# The machine's own page cache is the cache that gets lost: the disk with the repository is a file of a filesystem.
attach() {
    # Nothing is written back because of its age.
    echo 0 >/proc/sys/vm/dirty_writeback_centisecs
    mount "$(ubd_disk files)" /run/mnt
    mkdir -p /run/disk
    mount -o loop /run/mnt/disk /run/disk
    repo=/run/disk/repo
    for file in /run/host/reference-*; do
        [ ! -e "$file" ] || ln -sf "$file" .
    done
}

boot_1() {
    local number
    mkfs.ext4 -q "$(ubd_disk files)"
    mount "$(ubd_disk files)" /run/mnt
    truncate -s 128M /run/mnt/disk
    mkfs.ext4 -q /run/mnt/disk
    umount /run/mnt
    sync

    # What will be received, in this and later boots, and how many steps that has.
    create_stack vol 16M 16M --block-size $block
    write_blocks /dev/mapper/vol 128 0 200
    for number in $(seq $increments); do
        back_up vol scratch
        cp stream "/run/host/stream-$number"
        cp --sparse=always mirror "/run/host/reference-$number"
        # Some of what was there and some of what was not.
        write_blocks /dev/mapper/vol 128 $((RANDOM % 190)) $((RANDOM % 10 + 1))
        write_blocks /dev/mapper/vol 128 $((200 + RANDOM % 50)) 2
        dd if=/dev/zero of=/dev/mapper/vol bs=64K seek=$((RANDOM % 200)) count=2 oflag=direct status=none
    done
    steps_of_receive 1 >/run/host/steps
    steps_of_receive 2 >>/run/host/steps
    cat /run/host/steps
    attach
    lose_power_while_receiving
}

# steps_of_receive NUMBER: how many there are in the first run that is not killed.
steps_of_receive() {
    local step=1 status=137
    while [ $status = 137 ]; do
        rm -rf trial
        [ "$1" = 1 ] || era receive trial </run/host/stream-1 2>received
        step=$((step * 2))
        status=0
        receive_and_die trial "$1" $step || status=$?
    done
    assert_equal 0 $status "status of a run that was not killed: $(<received)"
    rm -rf trial
    echo $step
}

# receive_and_die REPO NUMBER STEP: its shell is one that says nothing of it.
receive_and_die() {
    sh -c "ERA_CRASH_AT=$3 era receive $1 </run/host/stream-$2; exit \$?" >received 2>&1
}

# lose_power_while_receiving: the next stream.
lose_power_while_receiving() {
    local next steps step status=0 files
    next=$(($(count_points) + 1))
    [ "$next" -le $increments ] || fail "all was received in spite of everything"
    steps=($(</run/host/steps))
    steps=${steps[next > 1]}
    # Half of the range is the last part of it at the least, as that is found by doubling.
    step=$((RANDOM % steps + 1))
    receive_and_die $repo "$next" $step || status=$?
    echo "stream $next, step $step: status $status"
    # What is written out by chance, although nobody asked for it.
    files=($repo/* $repo/undo/*)
    case $((RANDOM % 3)) in
    0) sync "${files[RANDOM % ${#files[@]}]}" || : ;;
    1) sync "${files[@]}" || : ;;
    esac
    # What has come to its end is there.
    [ $status = 137 ] || next=$((next + 1))
    echo $((next - 1)) >/run/host/least
    echo $next >/run/host/most
    power_cut
}

count_points() {
    [ -e $repo/manifest.json ] || { echo 0 && return; }
    points_of $repo | wc -l
}

# check_repository: after a power loss; the references are those of the points that there are.
check_repository() {
    local count id least most
    read -r least </run/host/least
    read -r most </run/host/most
    count=$(count_points)
    echo "$SECONDS s: $count points of $least to $most"
    [ "$count" -ge "$least" ] && [ "$count" -le "$most" ] || fail "$count points, expected $least to $most"
    for id in $(references); do
        [ "$id" -le "$count" ] || rm "reference-$id"
    done
    # As it is, and after what was interrupted is undone.
    [ "$count" = 0 ] || assert_points $repo
    [ $((RANDOM % 2)) = 0 ] || [ "$count" = 0 ] || era prune $repo --keep-last 99
    [ "$count" = 0 ] || assert_points $repo
}

check_and_go_on() {
    attach
    check_repository
    lose_power_while_receiving
}

boot_2() { check_and_go_on; }
boot_3() { check_and_go_on; }
boot_4() { check_and_go_on; }
boot_5() { check_and_go_on; }
boot_6() { check_and_go_on; }
boot_7() { check_and_go_on; }
boot_8() { check_and_go_on; }

boot_9() {
    local next
    attach
    check_repository
    for next in $(seq $(($(count_points) + 1)) $increments); do
        era receive $repo <"/run/host/stream-$next"
        ln -sf "/run/host/reference-$next" .
    done
    assert_points $repo
    assert_equal "$increments" "$(count_points)" "points in the end"
}
