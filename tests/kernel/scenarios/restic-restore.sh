# SPDX-License-Identifier: GPL-3.0-or-later
# Points of a restic repository are given back: a tracked device goes back by what changed since then and no more; what is mounted is
# what the device was; the device is compared with what the repository gives back. Old points go after a backup.
# time limit: 300
# program: with restic
# needs: restic fusermount3

repository=restic:/run/host/repository

# ids: of all points, oldest first.
ids() {
    era points $repository --json | grep -o '"id":"[0-9a-f]*"' | cut -d '"' -f 4
}

create_stack vol 24M 32M --block-size 64K
write_blocks /dev/mapper/vol 128 0 256
make_restic_repository /run/host/repository
era backup vol $repository --init
cp /run/disks/vol-data first
write_blocks /dev/mapper/vol 128 10 3
era backup vol $repository
cp /run/disks/vol-data second
write_blocks /dev/mapper/vol 128 100 3
era backup vol $repository
cp /run/disks/vol-data third
# Not in any point.
write_blocks /dev/mapper/vol 128 200 2

# Onto another disk, and into a file.
disk=$(new_disk disk 24M)
era restore $repository@latest~1 "$disk"
assert_same "$disk" second
era restore $repository@latest~2 restored
assert_same restored first
small=$(new_disk small 16M)
assert_exit 2 era restore $repository "$small"
assert_message "nothing was written"
dmsetup create holder --table "0 $(sectors_of "$disk") linear $disk 0"
assert_exit 2 era restore $repository "$disk"
assert_message "in use"
dmsetup remove holder

# Back to the first point: what changed, in chunks of 512 KiB as far as the repository knows it, which are 8 blocks.
cursor=$(era points --cursor $repository)
assert_exit 2 era restore $repository "$disk" --only-changed
assert_message "tracked device"
era restore $repository@latest~2 vol --only-changed
assert_same /dev/mapper/vol first
era changed vol --since "$cursor" | while read -r begin end; do seq $begin $((end - 1)); done >written
{ seq 8 15; seq 96 103; seq 200 201; } >expected
assert_same expected written

# A mounted repository has each of them, and the device can be compared with the newest.
mkdir points
modprobe fuse
[ -e /dev/fuse ] || mknod /dev/fuse c 10 229
era mount $repository points
number=0
for id in $(ids); do
    number=$((number + 1))
    assert_same "$(sed -n "${number}p" <<<$'first\nsecond\nthird')" points/*_"$id.img"
done
assert_equal 3 $number "points"
assert_equal "$(cd points && echo *_"$id.img")" "$(readlink points/latest)" "latest"
umount points

# restic itself shows the segments as files: in their order they are the device.
mkdir segments
restic --no-cache -r /run/host/repository mount segments >mounted 2>&1 &
wait_until mountpoint -q segments
find "segments/ids/${id:0:8}/vol.img" -type f | sort | xargs cat >together
assert_same together third
umount segments
wait $! || fail "$(<mounted)"

era backup vol $repository
assert_same /dev/mapper/vol first
era verify $repository --read-data
assert_exit 0 era verify $repository vol
# Past tracking, as no program should write.
random_bytes 65536 | dd of="$data" bs=65536 seek=50 conv=notrunc oflag=direct status=none
status=0
era verify $repository vol >differs || status=$?
assert_equal 1 $status "a block that differs"
has_line "bytes $((50 * 65536)) to $((51 * 65536 - 1)) of the device differ" differs || fail "$(<differs)"

# Tracking began anew.
era close --meta "$meta"
era open --meta "$meta" --new-generation
assert_exit 1 era restore $repository vol --only-changed
assert_message "without --only-changed"
assert_exit 2 era verify $repository vol
assert_message "make a backup first"

# A configuration lets old points go.
cat >job.toml <<END
source = "vol"
repository = "$repository"
[retention]
keep_last = 2
END
era backup --config ./job.toml --json >done.json
assert_equal 2 "$(ids | wc -l)" "points"
era restore $repository again
assert_same /dev/mapper/vol again
restic --no-cache -r /run/host/repository check >check 2>&1 || fail "$(<check)"
