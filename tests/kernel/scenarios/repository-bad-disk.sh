# SPDX-License-Identifier: GPL-3.0-or-later
# A disk below the repository that fails reads or writes: each command names the file and the place, nothing that was kept is
# lost, and when the disk is well again, the next run succeeds.
# needs: filefrag
# time limit: 240

repo=/run/disk/repo
block=65536

# address_of FILE OFFSET: where on the disk that is, in blocks of 4096 bytes.
address_of() {
    filefrag -v "$1" | tr -d ':.' | awk -v "wanted=$(($2 / 4096))" \
        '$1 ~ /^[0-9]+$/ && $2 <= wanted && wanted <= $3 { print $4 + wanted - $2 }'
}

# break_reads FILE OFFSET
break_reads() {
    local address
    sync
    address=$(address_of "$1" "$2")
    [ -n "$address" ] || fail "$1 has nothing at $2"
    dmsetup message dust 0 addbadblock "$address" 2>/dev/null
    dmsetup message dust 0 enable 2>/dev/null
    bad=$address
    # What was read of it does not count.
    dd if="$1" iflag=nocache count=0 status=none
}

heal_reads() {
    dmsetup message dust 0 disable 2>/dev/null
    # A write to it may have made it well.
    dmsetup message dust 0 removebadblock "$bad" 2>/dev/null || :
}

# set_table LINE...: of the device between dust and the filesystem.
set_table() {
    printf '%s\n' "$@" | dmsetup load disk
    dmsetup suspend --nolockfs disk
    dmsetup resume disk
}

disk=$(new_disk repo 160M)
sectors=$(sectors_of "$disk")
modprobe -a dm-dust dm-flakey
dmsetup create dust --table "0 $sectors dust $disk 0 4096"
linear="linear /dev/mapper/dust"
dmsetup create disk --table "0 $sectors $linear 0"
mkfs.ext4 -q -b 4096 /dev/mapper/disk
mkdir /run/disk
mount /dev/mapper/disk /run/disk
create_stack vol 16M 32M --block-size 64K
write_blocks /dev/mapper/vol 128 0 100
back_up vol $repo
for first in 10 20; do
    write_blocks /dev/mapper/vol 128 $first 5
    back_up vol $repo
done
assert_points $repo

# A block of the image that cannot be read.
next_stream
offset=$((51 * block))
break_reads $repo/image $((offset + 8192))
assert_exit 2 era restore --force $repo restored
assert_message "$repo/image: byte $((offset + 8192)): Input"
assert_exit 1 era verify $repo
assert_equal "$repo/image: point 3: bytes $offset to $((offset + block - 1)) of the device: $repo/image: byte $((offset + 8192)): \
Input/output error (os error 5)" "$(<stdout)" "what is damaged"
receive_fails "$repo/image: byte $((offset + 8192)): Input"
heal_reads
receive_stream

# Of the files that lead back, of the hashes, and of the manifest.
break_reads $repo/undo/1-2 8192
assert_exit 2 era restore --force $repo@1 restored
assert_message "$repo/undo/1-2: byte [0-9]*: Input"
assert_exit 1 era verify $repo
has_line "^$repo/undo/1-2: point 1" stdout || fail "$(<stdout)"
# The other points need nothing of it.
era restore --force $repo@2 restored
assert_same_disk reference-2 restored
heal_reads
break_reads $repo/undo/2-3.index 0
assert_exit 2 era restore --force $repo@1 restored
assert_message "$repo/undo/2-3.index: byte 0: Input"
assert_exit 1 era verify $repo
has_line "^$repo/undo/2-3: point 2: .*$repo/undo/2-3.index" stdout || fail "$(<stdout)"
heal_reads
next_stream
break_reads $repo/hashes 4096
assert_exit 2 era restore --force $repo restored
assert_message "$repo/hashes: byte [0-9]*: Input"
assert_exit 1 era verify $repo
has_line "of the device: $repo/hashes: byte [0-9]*: Input" stdout || fail "$(<stdout)"
receive_fails "$repo/hashes: byte [0-9]*: Input"
heal_reads
break_reads $repo/manifest.json 0
for command in "restore --force $repo restored" "verify $repo" "points $repo"; do
    assert_exit 2 era $command
    assert_message "$repo/manifest.json: .*Input/output error"
done
receive_fails "$repo/manifest.json: .*Input/output error"
heal_reads
receive_stream

# Where the image is overwritten, writes fail.
next_stream
address=$(address_of $repo/image $((50 * block)))
begin=$((address * 8))
end=$((begin + 128))
set_table "0 $begin $linear 0" \
    "$begin $((end - begin)) flakey /dev/mapper/dust $begin 0 3600 1 error_writes" \
    "$end $((sectors - end)) $linear $end"
receive_fails "$repo/image: "
# Nobody has brought it back so far; nevertheless every point can be read.
assert_points $repo
set_table "0 $sectors $linear 0"
receive_stream

# All writes fail: the filesystem gives up.
next_stream
set_table "0 $sectors flakey /dev/mapper/dust 0 0 3600 1 error_writes"
receive_fails "$repo/"
umount /run/disk
set_table "0 $sectors $linear 0"
mount /dev/mapper/disk /run/disk
receive_stream
umount /run/disk
e2fsck -fn /dev/mapper/disk
