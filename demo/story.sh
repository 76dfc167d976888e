# SPDX-License-Identifier: GPL-3.0-or-later
# The story that `make demo` tells: a live filesystem is tracked, mirrored incrementally, and the mirror proves to be the
# device; a backup that is killed halfway leaves nothing behind. Runs in User-Mode Linux, with the helpers of
# tests/kernel/lib.

mirror=mirror.img

say() {
    printf '\n%s%s%s\n' "${ERA_DEMO_BOLD:+$'\e[1m'}" "$*" "${ERA_DEMO_BOLD:+$'\e[0m'}"
}

# show COMMAND LINE: prints it, then runs it.
show() {
    printf '  $ %s\n' "$*"
    eval "$*" 2>&1 | sed 's/^/    /'
}

# send_changes LABEL: one increment, with a line of what it cost; sets the cursor for the next.
send_changes() {
    local sent
    era send vol ${cursor:+--since "$cursor"} --compress 1 2>said >changes.era
    era apply --require-end $mirror <changes.era
    sent=$(stat -c %s changes.era)
    printf '  %-12s %9d bytes sent, %6s %% of the device; %s\n' "$1" "$sent" \
        "$(awk "BEGIN { printf \"%.2f\", 100 * $sent / $device_bytes }")" "$(sed -n 's/.*; \(writes waited.*\)/\1/p' said)"
    cursor=$(sed -n 's/.*--since //p' said)
}

say "This is Linux $(uname -r), an ordinary process; nothing of your machine is written to."

say "A disk of 160 MiB with ext4 and 48 MiB of files on it, and a small disk for metadata"
data=$(new_disk data 160M)
meta=$(new_disk meta 64M)
device_bytes=$((160 << 20))
mkfs.ext4 -q "$data"
mount "$data" /run/mnt
random_bytes $((48 << 20)) >/run/mnt/archive
umount /run/mnt
show "blkid $data"

say "Tracking goes under the filesystem; its data stay as they are"
show "era create vol --data $data --meta $meta --block-size 64K --no-eratab"
show "mount /dev/mapper/vol /run/mnt"
start_writer /run/mnt
echo "  A program now writes, rewrites, syncs and deletes files there, all the time."
let_writer_work 20
show "era status vol"

say "A full copy of the live device, as it is at one moment"
cursor=
show "era send vol --compress 1 > changes.era"
show "era inspect changes.era"
show "era apply --require-end $mirror < changes.era"
# The next turn begins where the stream says that it ends.
cursor=$(era inspect --json changes.era | sed -n 's/.*"next_cursor":"\([^"]*\)".*/\1/p')
[ -n "$cursor" ] || fail "no cursor"
show "e2fsck -fn $mirror 2>&1 | tail -n 1"

say "The same again and again, while the program goes on: only what changed is sent, and each copy is one moment"
for round in 1 2 3 4 5 6; do
    let_writer_work 5
    send_changes "increment $round"
    e2fsck -fn $mirror >fsck 2>&1 || fail "the mirror is not in order: $(cat fsck)"
done

say "A backup that is killed in the middle, with its snapshot in place"
(
    era send vol --since "$cursor" | {
        head -c 100 >/dev/null
        pkill -KILL -f 'era send'
    }
) 2>/dev/null || true
let_writer_work 5
echo "  The program writes on. What is left of the snapshot:"
show "dmsetup ls | grep snap || echo nothing"
send_changes "increment 7"
stop_writer
show "umount /run/mnt"
send_changes "increment 8"

say "Is the mirror the device?"
show "cmp /dev/mapper/vol $mirror && echo identical, bit for bit"
show "e2fsck -fn $mirror 2>&1 | tail -n 1"

say "Tracking is taken away again, and the disk is as it was"
show "era close --meta $meta"
show "mount $data /run/mnt && ls /run/mnt"

say "That was all. The README goes on from here."
