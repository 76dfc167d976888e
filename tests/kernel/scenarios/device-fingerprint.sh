# SPDX-License-Identifier: GPL-3.0-or-later
# What writes to the data device while it is closed bypasses tracking. It is noticed when the device is opened: tracking
# begins anew, and cursors of before are refused. Reading alone makes no difference.
# time limit: 400
# needs: mkfs.xfs mkfs.btrfs

# bypassed_by COMMAND...: whether opening notices it.
bypassed_by() {
    era close --meta "$meta"
    "$@"
    era open --meta "$meta" >opened 2>said
    cat said
    grep -q "something wrote to the data device while it was closed" said
}
generation() {
    era status "$name" --json | sed -n 's/.*"generation":"\([^"]*\)".*/\1/p'
}
assert_continued() {
    local before
    before=$(generation)
    ! bypassed_by "$@" || fail "$*: taken for a write"
    assert_equal "$before" "$(generation)" "generation"
    assert_exit 0 era changed "$name" --since "$cursor"
}
assert_begun_anew() {
    local before
    before=$(generation)
    bypassed_by "$@" || fail "$*: not noticed"
    [ "$before" != "$(generation)" ] || fail "the generation is the same"
    assert_equal 1 "$(current_era "$name")" "era"
    assert_exit 1 era send "$name" --since "$cursor"
    assert_message "a full copy is needed"
    # Once is enough.
    cursor=
    send "$name" mirror
    assert_same_disk "/run/disks/$name-data" mirror
    assert_continued true
}
mount_raw() {
    mount "$@" "$data" /run/mnt
    umount /run/mnt
}

swap_uuid=11111111-2222-4333-8444-555555555555
for kind in ext4 xfs btrfs swap; do
    name=$kind
    case $kind in
    xfs) size=320M ;;
    btrfs) size=128M ;;
    *) size=16M ;;
    esac
    create_stack "$name" $size 16M
    cursor=
    case $kind in
    swap) mkswap -q -U $swap_uuid "/dev/mapper/$name" ;;
    *) "mkfs.$kind" -q "/dev/mapper/$name" ;;
    esac
    send "$name" mirror
    assert_continued true
    assert_continued dd if="$data" of=/dev/null bs=1M status=none
    case $kind in
    ext4)
        assert_continued mount_raw -o ro,noload
        assert_begun_anew mount_raw
        ;;
    xfs)
        assert_continued mount_raw -o ro,norecovery
        assert_begun_anew mount_raw
        ;;
    btrfs) assert_begun_anew mount_raw ;;
    swap) assert_begun_anew mkswap -q -L other -U $swap_uuid "$data" ;;
    esac
    era close --meta "$meta"
    rm mirror
    losetup -d "$data" "$meta"
    rm /run/disks/*
done

# Where nothing says that it was closed in order, that is said, and tracking goes on: marks are complete.
create_stack crash 16M 16M
mkfs.ext4 -q /dev/mapper/crash
era close --meta "$meta"
era open --meta "$meta"
name=crash
cursor=
send crash mirror
for layer in crash crash-data crash-meta crash-cow; do
    dmsetup remove $layer
done
era open --meta "$meta" 2>said
grep "was not closed in order" said
era changed crash --since "$cursor"
