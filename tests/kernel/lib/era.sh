# SPDX-License-Identifier: GPL-3.0-or-later
# dm-era devices, as dmsetup makes them.

# make_era NAME DATA META BLOCK_SECTORS
make_era() {
    dmsetup create "$1" --table "0 $(sectors_of "$2") era $3 $2 $4"
}

# The status line without device-mapper's part: METADATA_BLOCK_SECTORS USED/TOTAL ERA SNAPSHOT
era_status() {
    local line
    line=$(dmsetup status --target era "$1")
    echo "${line#* * * }"
}

current_era() {
    local fields
    fields=($(dmsetup status --target era "$1"))
    echo "${fields[5]}"
}

take_snapshot() {
    dmsetup message "$1" 0 take_metadata_snap
}

drop_snapshot() {
    dmsetup message "$1" 0 drop_metadata_snap
}

# checkpoint NAME: the next era begins.
checkpoint() {
    dmsetup message "$1" 0 checkpoint
}

# runs_of_xml: the lists of era_invalidate, 0.9 or 1.x, as lines BEGIN END.
runs_of_xml() {
    local line range='begin *= *"([0-9]+)" *end *= *"([0-9]+)"' block='block *= *"([0-9]+)"'
    while IFS= read -r line || [ -n "$line" ]; do
        if [[ $line =~ $range ]]; then
            echo "${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
        elif [[ $line =~ $block ]]; then
            echo "${BASH_REMATCH[1]} $((BASH_REMATCH[1] + 1))"
        fi
    done
}

# invalidated META SINCE [--metadata-snapshot]: what era_invalidate says, as lines BEGIN END. It knows nothing of our
# code, so it is what facts about the kernel are tested with. Offline it leaves the era out that was never closed.
invalidated() {
    era_invalidate --written-since "$2" "${@:3}" "$1" | runs_of_xml
}

# invalidated_now NAME META SINCE: the same of an active device, all eras up to now.
invalidated_now() {
    take_snapshot "$1"
    invalidated "$2" "$3" --metadata-snapshot
    drop_snapshot "$1"
}

# changed META SINCE: what we say about a device that is not active, as lines BEGIN END.
changed() {
    era changed --metadata "$1" --since "$2"
}

# changed_now NAME META SINCE: the same of an active device.
changed_now() {
    take_snapshot "$1"
    era changed --metadata "$2" --metadata-snapshot --since "$3"
    drop_snapshot "$1"
}
