# SPDX-License-Identifier: GPL-3.0-or-later
# The story that `make demo` tells: a live filesystem on a real dm-era is mirrored incrementally, and the mirror proves to
# be the device. Runs in User-Mode Linux, with the helpers of tests/kernel/lib.

block_sectors=128
mirror=mirror.img

say() {
    printf '\n%s%s%s\n' "${ERA_DEMO_BOLD:+$'\e[1m'}" "$*" "${ERA_DEMO_BOLD:+$'\e[0m'}"
}

# show COMMAND LINE: prints it, then runs it.
show() {
    printf '  $ %s\n' "$*"
    eval "$*" | sed 's/^/    /'
}

# changed_since ERA FORMAT: of the metadata snapshot that is held.
changed_since() {
    era changed --metadata "$meta" --metadata-snapshot --since "$1" --format "$2"
}

# take_changes LABEL: one turn of the procedure, with a line of what it cost.
take_changes() {
    "$barrier" vol /run/mnt
    changed_since "$cursor" xml >changed.xml
    changed_since "$cursor" json >changed.json
    era_copy --format 2 --compress 1 $block_sectors /dev/mapper/vol <changed.xml >changes.era
    era_apply --require-end $mirror <changes.era
    drop_snapshot vol
    report "$1"
}

# report LABEL: what the last turn cost; sets the cursor for the next.
report() {
    local sent
    sent=$(stat -c %s changes.era)
    printf '  %-14s since era %2d: %5d of %d blocks changed, %9d bytes sent, %6s %% of the device\n' "$1" "$cursor" \
        "$(json_number changed_blocks changed.json)" "$(json_number blocks changed.json)" "$sent" \
        "$(awk "BEGIN { printf \"%.2f\", 100 * $sent / $device_bytes }")"
    cursor=$(json_number next_since_era changed.json)
}

say "This is Linux $(uname -r), an ordinary process; nothing of your machine is written to."

say "A disk of 160 MiB with ext4, and under it dm-era, which notes what is written (blocks of 64 KiB)"
data=$(new_disk data 160M)
meta=$(new_disk meta 8M)
device_bytes=$((160 << 20))
mkfs.ext4 -q "$data"
show "dmsetup create vol --table '0 $(sectors_of "$data") era $meta $data $block_sectors'"
show "mount /dev/mapper/vol /run/mnt"
random_bytes $((48 << 20)) >/run/mnt/archive
start_writer /run/mnt
echo "  It holds 48 MiB of files. A program now writes, rewrites, syncs and deletes files there, all the time."
let_writer_work 20

say "A full copy of the live device (since era 0 means every block), in all its steps"
cursor=0
show "fsfreeze --freeze /run/mnt"
show "dmsetup message vol 0 take_metadata_snap"
show "fsfreeze --unfreeze /run/mnt"
show "era changed --metadata $meta --metadata-snapshot --since 0 --total"
show "era changed --metadata $meta --metadata-snapshot --since 0 --format xml > changed.xml"
show "era_copy --format 2 --compress 1 $block_sectors /dev/mapper/vol < changed.xml > changes.era"
show "era inspect changes.era"
show "era_apply --require-end $mirror < changes.era"
changed_since 0 json >changed.json
show "dmsetup message vol 0 drop_metadata_snap"
report "full copy"

say "The same again and again, while the program goes on: only what changed is sent"
barrier=snapshot_behind_freeze
for round in 1 2 3 4 5 6 7 8; do
    let_writer_work 5
    take_changes "increment $round"
done
stop_writer
show "umount /run/mnt"
barrier=snapshot_before_suspend
take_changes "increment 9"

say "Is the mirror the device?"
show "cmp /dev/mapper/vol mirror.img && echo identical, bit for bit"
show "e2fsck -fn mirror.img 2>&1 | tail -n 1"
show "mount -o loop,ro mirror.img /run/mnt"
show "ls -l /run/mnt"

say "It is. The README goes on from here."
