# SPDX-License-Identifier: GPL-3.0-or-later
# The root filesystem, with era on it, is on the tracked device, and not in memory, when the metadata device fails while all of
# it is suspended: the sender, or its guardian, takes dm-era out, the root lives on, and is tracked again.
# needs: strip

data=$(new_disk vol-data 128M)
disk=$(new_disk vol-meta 32M)
meta=/dev/mapper/mdisk
dmsetup create mdisk --table "0 $(sectors_of "$disk") linear $disk 0"
era create vol --data "$data" --meta $meta --no-eratab
make_root /dev/mapper/vol

metadata_disk_is() {
    dmsetup reload mdisk --table "0 $(sectors_of "$disk") $1"
    dmsetup suspend mdisk
    dmsetup resume mdisk
}

cursor=
send vol mirror
for dies in no yes; do
    ERA_FAILPOINT=armed=stop,suspended=stop "${in_root[@]}" era send vol --since "$cursor" --freeze-timeout 10m >stream 2>said &
    sender=$!
    wait_until has_stopped
    forget_root
    go_on
    metadata_disk_is error
    if [ $dies = yes ]; then kill -KILL $sender; else kill -CONT $sender; fi
    wait $sender || true
    date >$root/work/date
    sync -f $root
    assert_equal linear "$(dmsetup table vol | cut -d ' ' -f 3)" "target"
    cat said
    metadata_disk_is "linear $disk 0"
    "${in_root[@]}" era open --meta $meta
    assert_nothing_left vol
    assert_exit 1 era send vol --since "$cursor"
    cursor=
    send vol mirror
    grep "one moment, from a snapshot" said
    e2fsck -fn mirror
done
