# SPDX-License-Identifier: GPL-3.0-or-later
# A source that cannot be read is an error that names the block, and the stream cannot pass for a complete one, whatever carries
# the requests: io_uring, threads, or nothing.

block=128
data=$(new_disk data 64M)
meta=$(new_disk meta 8M)
# dm-dust fails reads of single blocks of 512 bytes; here the tracker's block 300 has a bad one.
modprobe dm-dust
dmsetup create dust --table "0 $(sectors_of "$data") dust $data 0 512"
make_era vol /dev/mapper/dust "$meta" $block
vol=/dev/mapper/vol
write_blocks $vol $block 100 300
dmsetup message dust 0 addbadblock $((300 * block + 5))
dmsetup message dust 0 enable
take_snapshot vol
era changed --metadata "$meta" --metadata-snapshot --since 1 --format xml >changed.xml
drop_snapshot vol

for io in io_uring threads plain; do
    export ERA_IO=$io
    for format in 1 2; do
        assert_exit 2 sh -c "era_copy --format $format $block $vol <changed.xml"
        assert_message "block 300 cannot be read: byte $((300 * block * 512))"
        mv stdout stream
        truncate -s 64M mirror
        assert_exit 2 sh -c "era_apply --require-end mirror <stream"
    done
done

# With the disk healed, the same goes well.
dmsetup message dust 0 disable
for io in io_uring threads plain; do
    export ERA_IO=$io
    era_copy $block $vol <changed.xml >stream
    truncate -s 0 mirror
    truncate -s 64M mirror
    era_apply --require-end mirror <stream
    assert_same_disk $vol mirror
done
