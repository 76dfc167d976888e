# SPDX-License-Identifier: GPL-3.0-or-later
# The story that `make demo` tells: a live filesystem is tracked and backed up over ssh, again and again; one run is killed
# halfway; then a mishap, and everything that gets data back. Runs in User-Mode Linux, with the helpers of tests/kernel/lib.

repo=/run/work/backups/vol

say() {
    printf '\n%s%s%s\n' "${ERA_DEMO_BOLD:+$'\e[1m'}" "$*" "${ERA_DEMO_BOLD:+$'\e[0m'}"
}

# show COMMAND LINE: prints it, then runs it.
show() {
    printf '  $ %s\n' "$*"
    eval "$*" 2>&1 | sed 's/^/    /'
}

# show_drawn COMMAND LINE: the same on a terminal of 80 columns, which some commands draw for.
show_drawn() {
    printf '  $ %s\n' "$*"
    TERM=xterm NO_COLOR=$([ -n "$ERA_DEMO_BOLD" ] || echo 1) script -qec "stty cols 76 rows 36; $*" /dev/null </dev/null | tr -d '\r' | sed 's/^/    /'
}

# As on a machine with an ssh configuration of its own.
backup_vol() {
    era backup --rsh "$rsh" "$@" root@vm1:vol $repo
}

# show_backup: what is shown is what a user types, who has ssh set up already.
show_backup() {
    printf '  $ era backup root@vm1:vol %s\n' "$repo"
    backup_vol 2>&1 | sed 's/^/    /'
}

say "This is Linux $(uname -r), an ordinary process; nothing of your machine is written to."
own_etc
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
start_ssh

say "A disk of 96 MiB with ext4 and 24 MiB of files on it, and a small disk for metadata and snapshots"
data=$(new_disk data 96M)
meta=$(new_disk meta 64M)
mkfs.ext4 -q "$data"
mount "$data" /run/mnt
random_bytes $((24 << 20)) >/run/mnt/archive
umount /run/mnt
show "blkid $data"

say "Tracking goes under the filesystem; its data stay as they are"
show "era create vol --data $data --meta $meta --block-size 64K"
show "mount /dev/mapper/vol /run/mnt"
start_writer /run/mnt
echo "  A program now writes, rewrites, syncs and deletes files there, all the time."
let_writer_work 20
show "era status vol"

say "The first backup, over ssh to a real sshd, copies everything, as it is at one moment"
show_backup

say "From then on, only what changed"
for run in 2 3 4 5 6; do
    let_writer_work 3
    show_backup
done

say "A sender that is killed in the middle, with its snapshot in place, leaves nothing behind"
(
    era send vol --since "$(era points --cursor $repo)" | {
        head -c 100 >/dev/null
        pkill -KILL -f 'era send'
    }
) 2>/dev/null || true
let_writer_work 3
show "dmsetup ls | grep snap || echo no snapshot"
for run in 7 8 9 10; do
    show_backup
done
show_drawn "era points $repo"
show_drawn "era changed vol --map"

say "A mishap"
show "rm /run/mnt/archive && sync && ls /run/mnt | head -n 3"
show_backup

say "A single file comes back from a point before: every point is an image that can be mounted"
mkdir /run/points /run/then
modprobe fuse
show "era mount $repo /run/points"
show "ls /run/points | tail -n 4"
image=$(printf '%s\n' /run/points/*.img | tail -n 2 | head -n 1)
show "mount -o loop,ro ${image@Q} /run/then"
show "cp /run/then/archive /run/mnt/archive && ls -lh /run/mnt/archive"
show "umount /run/then /run/points"

say "The whole device comes back, too"
stop_writer
show "umount /run/mnt"
show_backup
disk=$(new_disk new-disk 96M)
show "era restore $repo $disk"
show "cmp /dev/mapper/vol $disk && echo identical, bit for bit"
show "e2fsck -fn $disk 2>&1 | tail -n 1"

say "Is the repository what it was given, and what the device holds? Only hashes are sent for the second question."
show "era verify $repo"
show "era verify --rsh '$rsh' $repo root@vm1:vol"

say "Old points go"
show "era prune $repo --keep-last 3"

say "Tracking is taken away again, and the disk is as it was"
show "era remove vol"
show "mount $data /run/mnt && ls /run/mnt | head -n 3"

say "That was all. The README goes on from here."
