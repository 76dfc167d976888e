# SPDX-License-Identifier: GPL-3.0-or-later
# A device that dmsetup made has no snapshots and no header: a send from it is interrupted at every step.
# time limit: 400

data=$(new_disk data 32M)
meta=$(new_disk meta 8M)
make_era vol "$data" "$meta" 128
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/mapper/vol
mount /dev/mapper/vol /run/mnt
start_writer /run/mnt
cursor=
send vol mirror
interrupt_everywhere vol mirror freeze kill stop
interrupt_everywhere vol mirror none kill stop
stop_writer
