# SPDX-License-Identifier: GPL-3.0-or-later
# A send without a cut is interrupted at every step, in every way that differs: writes go on, nothing is left after the next
# command, and the next increment from the old cursor is complete.
# time limit: 400

create_stack vol 32M 32M
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/mapper/vol
mount /dev/mapper/vol /run/mnt
start_writer /run/mnt
cursor=
send vol mirror
interrupt_everywhere vol mirror none kill stop
interrupt_in_turn vol mirror none term hup epipe
stop_writer
