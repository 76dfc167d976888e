# SPDX-License-Identifier: GPL-3.0-or-later
# The classic procedure, done right: a mirror that follows a mounted device from one metadata snapshot to the next.

# json_number KEY FILE: the number of a key that stands once in an object.
json_number() {
    local text=
    # Ends with 1, as there is no such character.
    IFS= read -r -d '' text <"$2" || :
    [[ $text =~ \"$1\":\ *([0-9]+) ]] || fail "no number $1 in: $text"
    echo "${BASH_REMATCH[1]}"
}

# All writes that came before the rollover must have reached the device before it is read. Each of these barriers sees
# to that: the frozen filesystem has none under way, and a suspend waits for them.
snapshot_behind_freeze() {
    fsfreeze --freeze "$2"
    take_snapshot "$1"
    fsfreeze --unfreeze "$2"
}
snapshot_before_suspend() {
    take_snapshot "$1"
    dmsetup suspend "$1"
    dmsetup resume "$1"
}

# copy_changes NAME META MIRROR BLOCK_SECTORS [OPTION OF era_copy]...: copies what the metadata snapshot has since
# era $cursor, drops the snapshot, and sets $cursor for the next time.
copy_changes() {
    local name=$1 meta=$2 mirror=$3 block=$4
    era changed --metadata "$meta" --metadata-snapshot --since "$cursor" --format xml >changed.xml
    era changed --metadata "$meta" --metadata-snapshot --since "$cursor" --format json >changed.json
    era_copy "${@:5}" "$block" "/dev/mapper/$name" <changed.xml | era_apply --require-end "$mirror"
    cursor=$(json_number next_since_era changed.json)
    drop_snapshot "$name"
}

# test_incremental_backup MKFS FSCK BARRIER KIBIBYTES BLOCK_SECTORS [OPTION OF era_copy]...: a full copy and ten
# increments under a writer, and a last one without. Then the mirror must be the device, bit for bit.
test_incremental_backup() {
    local mkfs=$1 fsck=$2 barrier=$3 kibibytes=$4 block=$5
    local data meta round changed
    data=$(new_disk data "${kibibytes}K")
    meta=$(new_disk meta 8M)
    $mkfs "$data"
    make_era vol "$data" "$meta" "$block"
    mount /dev/mapper/vol /run/mnt
    start_writer /run/mnt

    cursor=0
    for round in full 1 2 3 4 5 6 7 8 9 10; do
        let_writer_work 3
        "$barrier" vol /run/mnt
        copy_changes vol "$meta" mirror "$block" "${@:6}"
        changed=$(json_number changed_blocks changed.json)
        echo "$SECONDS s: increment $round: $changed blocks"
        [ "$round" = full ] || was_incremental
    done
    stop_writer
    umount /run/mnt
    take_snapshot vol
    copy_changes vol "$meta" mirror "$block" "${@:6}"

    assert_same_disk /dev/mapper/vol mirror
    $fsck mirror
    mount -o loop,ro mirror /run/mnt
    [ -n "$(ls /run/mnt)" ] || fail "the mirror has no files"
}

# Copying everything each time would pass for a backup, too.
was_incremental() {
    [ "$changed" -gt 0 ] || fail "the increment is empty"
    [ "$changed" -lt "$(json_number blocks changed.json)" ] || fail "the increment is a full copy"
}
