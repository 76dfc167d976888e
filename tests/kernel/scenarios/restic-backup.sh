# SPDX-License-Identifier: GPL-3.0-or-later
# A live device goes into a restic repository: what plain restic gives back is the device, bit for bit, and only what changed was read.
# Whoever is killed, at whatever step, leaves no snapshot, and the next backup misses nothing.
# time limit: 300
# program: with restic
# needs: restic

export RESTIC_REPOSITORY=/run/host/repository
repository=restic:/run/host/repository

# back_up_restic OPTION...: what it said is in the file said.
back_up_restic() {
    era backup vol $repository "$@" 2>said || fail "$(<said)"
    cat said
}

# The size is no multiple of a segment's.
create_stack vol 41000K 48M --block-size 64K
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/mapper/vol
mount /dev/mapper/vol /run/mnt

assert_exit 2 era backup vol $repository
assert_message "--init"
assert_exit 2 era backup root@host:vol $repository --init
assert_message "run .era backup vol"
[ ! -e /run/host/repository/config ] || fail "a repository was made"

make_restic_repository /run/host/repository
start_writer /run/mnt
back_up_restic --init
grep -q "everything is read.*no snapshot of this device" said || fail "$(<said)"
for round in 1 2; do
    let_writer_work 3
    back_up_restic --consistency snapshot
    ! grep -q "everything is read" said || fail "$(<said)"
    assert_nothing_left vol
    restic --no-cache dump latest /vol.img | tar xO >dumped
    e2fsck -fn dumped >fsck 2>&1 || fail "round $round: $(<fsck)"
done
stop_writer
assert_equal 3 "$(snapshots)" "snapshots"

# Killed: in the middle of the sender's copy, after a pack was uploaded, when all is uploaded, and when the snapshot is written.
before=$(snapshots)
for point in copying restic-uploading finishing restic-saving; do
    dd if=/dev/urandom of=/run/mnt/killed-$point bs=64K count=9 conv=fsync status=none
    status=0
    ERA_FAILPOINT=$point=kill era backup vol $repository 2>said || status=$?
    [ $status != 0 ] || fail "$point: the backup was not killed"
    assert_equal "$before" "$(snapshots)" "snapshots after a kill at $point"
    echo more >/run/mnt/after-$point
done
umount /run/mnt
back_up_restic --json
assert_nothing_left vol
assert_equal $((before + 1)) "$(snapshots)" "snapshots"
assert_restic_has /dev/mapper/vol

# One block more, and no more than one segment is read.
dd if=/dev/urandom of=/dev/mapper/vol bs=64K count=1 seek=17 oflag=direct conv=notrunc status=none
era backup vol $repository --json >done.json 2>said || fail "$(<said)"
assert_equal 1 "$(json_number changed_units done.json)" "segments"
assert_restic_has /dev/mapper/vol

# The list of changes is not to be had any more: all is read, nothing is uploaded but what is new.
era close --meta "$meta"
mount "$data" /run/mnt
echo past tracking >/run/mnt/past
umount /run/mnt
era open --meta "$meta"
back_up_restic
grep -q "everything is read.*tracking began anew" said || fail "$(<said)"
assert_restic_has /dev/mapper/vol
restic --no-cache check --read-data >check 2>&1 || fail "$(<check)"
