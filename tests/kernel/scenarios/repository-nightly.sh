# SPDX-License-Identifier: GPL-3.0-or-later
# Thirty runs of a configuration, as a timer would do them, over ssh with a restricted key, on a live filesystem, with old
# points let go after each: every kept point, restored, is what a reference has that was taken at its cut.
# needs: ssh sshd ssh-keygen
# time limit: 400

own_etc
start_ssh "era restrict --send vol"
create_stack vol 40M 32M --block-size 64K
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/mapper/vol
mount /dev/mapper/vol /run/mnt
cat >nightly.toml <<END
source = "vm1:vol"
repository = "$PWD/repo"
rsh = "$rsh"
metrics = "$PWD/metrics.prom"

[retention]
keep_last = 6
END
start_writer /run/mnt
mkdir references
for run in $(seq 30); do
    let_writer_work 2
    if [ $((run % 3)) = 0 ]; then
        # Nobody writes for as long as the reference and the backup take: both are of this moment.
        pause_writer
        fsfreeze --freeze /run/mnt
        dd if=/dev/mapper/vol of=references/$run bs=1M iflag=direct conv=sparse status=none
        era backup --config ./nightly.toml --consistency none
        fsfreeze --unfreeze /run/mnt
        assert_same_disk references/$run repo/image
        resume_writer
    else
        era backup --config ./nightly.toml
        cp repo/image references/$run
    fi
    e2fsck -fn references/$run >fsck 2>&1 || fail "run $run: $(<fsck)"
    rm -f references/$((run - 6))
    assert_nothing_left vol
done
stop_writer
grep "^era_backup_last_run_success{.*} 1" metrics.prom
grep "^era_backup_points{.*} 6" metrics.prom
for run in $(seq 25 30); do
    era restore repo@$run restored --force
    assert_same_disk references/$run restored
done
assert_exit 2 era restore repo@24 restored --force
era verify repo
# The key is for nothing else.
assert_exit 2 $rsh vm1 era status
assert_message "refused"
