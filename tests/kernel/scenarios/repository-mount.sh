# SPDX-License-Identifier: GPL-3.0-or-later
# A mounted repository shows each point as an image that is the device as it was: it can be checked, mounted and compared,
# also while points are added or an interrupted run has left things half done. It ends with umount, and with signals.
# needs: fusermount3
# time limit: 240

# change_files: some of them.
change_files() {
    echo "$1" >/run/mnt/number
    random_bytes 100000 >"/run/mnt/file-$(($1 % 3))"
}

# image_of POINT: its file in the mounted repository.
image_of() {
    local file
    file=$(echo points/*_"$1.img")
    [ -f "$file" ] || fail "there is no one file of point $1: $(ls points)"
    echo "$file"
}

# forget_images: what the kernel has read of them before does not count.
forget_images() {
    local file
    for file in points/*.img; do
        dd if="$file" iflag=nocache count=0 status=none
    done
}

# assert_images: all points are there, and what they were.
assert_images() {
    local id images
    forget_images
    images=$(cd points && echo *.img)
    assert_equal "$(references | wc -l)" "$(wc -w <<<"$images")" "number of images in $images"
    for id in $(references); do
        assert_same_disk "reference-$id" "$(image_of "$id")"
    done
}

# has_ended PID
has_ended() {
    ! kill -0 "$1" 2>/dev/null
}

# server: the process that serves the mounted repository, from whom a command that wants to be alone waits for.
server() {
    local file words
    for file in /proc/[0-9]*/cmdline; do
        words=$(tr '\0' ' ' 2>/dev/null <"$file") || continue
        if [[ $words == "era mount "* ]]; then
            file=${file#/proc/}
            echo "${file%/*}"
            return
        fi
    done
    fail "nobody serves a mounted repository"
}

# Larger than what is kept of three points in memory.
create_stack vol 12M 32M --block-size 64K
mkfs.ext4 -q -b 4096 /dev/mapper/vol
mount /dev/mapper/vol /run/mnt
mkdir points then
for number in 1 2 3; do
    change_files $number
    back_up vol repo
done

# What stands in the way is said, with the cure.
assert_exit 2 era mount repo points
assert_message "modprobe fuse"
modprobe fuse
[ -e /dev/fuse ] || mknod /dev/fuse c 10 229
assert_exit 2 era mount repo nowhere
assert_message "nowhere: is not there"
assert_exit 2 era mount repo stream
assert_message "stream: is not a directory"
assert_exit 2 era mount repo repo
assert_message "repo: is not empty"
assert_exit 2 era mount points points
assert_message "there is no repository"
assert_exit 2 era mount repo@9 points
assert_message "there is no point 9"
mountpoint -q points && fail "a mount that was refused"

# In the background, as other filesystems. A pipe of its caller comes to its end, although the mount goes on.
era mount repo points 2>&1 | cat >said
[ ! -s said ] || fail "$(<said)"
assert_images
assert_equal "$(basename "$(image_of 3)")" "$(readlink points/latest)" "the last point"
assert_equal $((12 << 20)) "$(stat -L -c %s points/latest)" "size"
assert_equal "400 0" "$(stat -L -c '%a %u' points/latest)" "mode and owner"
assert_equal "$(date -u -d "@$(stat -L -c %Y points/latest)" +%Y-%m-%dT%H:%M:%SZ)_3.img" "$(readlink points/latest)" "time"
assert_exit 2 sh -c ': >points/new'
assert_exit 2 sh -c ": 1<>'$(image_of 1)'"
for id in 1 2 3; do
    e2fsck -fn "$(image_of $id)" >fsck 2>&1 || fail "point $id: $(<fsck)"
    mount -o loop,ro "$(image_of $id)" then
    assert_equal $id "$(cat then/number)" "a file at point $id"
    umount then
done

# A run that is interrupted here and there: all points are what they were, before and after the next run has undone it.
change_files 4
era send vol --since "$(era points --cursor repo)" >next 2>said
era apply --require-end mirror <next
step=0
while ! grep -q '"id": 4' repo/manifest.json; do
    step=$((step + RANDOM % 8 + 1))
    status=0
    sh -c "ERA_CRASH_AT=$step era receive repo <next; exit \$?" >received 2>&1 || status=$?
    case $status in
    0 | 137) ;;
    *) fail "status $status at step $step: $(<received)" ;;
    esac
    ! grep -q '"id": 4' repo/manifest.json || cp --sparse=always mirror reference-4
    assert_images
done
[ $step -gt 20 ] || fail "only $step steps"
echo "$SECONDS s: killed at some of $step steps"
assert_images
assert_equal "$(basename "$(image_of 4)")" "$(readlink points/latest)" "the last point"

# While points are added, others are read all the time.
read_all_the_time() {
    local id
    until [ -e reader-stop ]; do
        forget_images
        for id in 1 2 3 4; do
            assert_same_disk "reference-$id" "$(image_of $id)"
            printf . >>reader-rounds
        done
    done
}
: >reader-rounds
read_all_the_time &
reader=$!
for number in 5 6 7 8; do
    rounds=$(wc -c <reader-rounds)
    change_files $number
    back_up vol repo
    reader_has_gone_on() { kill -0 $reader && [ "$(wc -c <reader-rounds)" -gt "$((rounds + 4))" ]; }
    wait_until reader_has_gone_on
done
: >reader-stop
wait $reader
assert_images

# Who takes points away waits, and says for whom.
server=$(server)
: >prune-said
era prune repo --keep-last 5 >pruned 2>prune-said &
pruner=$!
wait_until grep -q "waiting for process $server (era mount" prune-said
assert_images
umount points
wait_until has_ended "$server"
wait $pruner
rm reference-{1,2,3}
assert_points repo

# One point alone, in the foreground; a signal ends it.
era mount --foreground repo@5 points 2>said &
server=$!
wait_until mountpoint -q points
assert_equal "$(cd points && echo *_5.img)" "$(ls points)" "files of a single point"
assert_same_disk reference-5 "$(image_of 5)"
kill -TERM $server
wait $server
! mountpoint -q points || fail "it is still mounted"
# What is in use then can be used to its end.
era mount repo points
server=$(server)
mount -o loop,ro "$(image_of 6)" then
kill -TERM "$server"
wait_until eval '! mountpoint -q points'
echo 3 >/proc/sys/vm/drop_caches
assert_equal 6 "$(cat then/number)" "a file of a point whose directory is gone"
umount then
wait_until has_ended "$server"

# A process that was killed leaves something that can be taken away, and says how.
for cure in "umount points" "fusermount3 -u points"; do
    era mount repo points
    kill -KILL "$(server)"
    wait_until eval '! ls points >/dev/null 2>&1'
    assert_exit 2 era mount repo points
    assert_message "whose process has died"
    $cure
done
# It holds no lock any more.
era prune repo --keep-last 4
rm reference-4
assert_points repo

# A damaged block is an error that is told once, where it is; everything else is there.
era mount repo points 2>said
offset=$((100 * 64 * 1024))
printf damage | dd of=repo/image bs=1 seek=$((offset + 100)) conv=notrunc status=none
assert_exit 2 cmp "$(image_of 8)" reference-8
assert_message "Input/output error"
assert_exit 2 cmp "$(image_of 8)" reference-8
assert_equal 1 "$(grep -c "repo: point 8: bytes $offset to $((offset + 65536)) are not what they were" said)" "messages: $(<said)"
for part in "count=100" "skip=101"; do
    dd if="$(image_of 8)" bs=64K $part of=got status=none
    dd if=reference-8 bs=64K $part of=expected status=none
    assert_same expected got
done
umount points
