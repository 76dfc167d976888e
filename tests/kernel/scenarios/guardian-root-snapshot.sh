# SPDX-License-Identifier: GPL-3.0-or-later
# The root filesystem, with era and everything that takes part on it, is on the tracked device, and not in memory: a send
# with a snapshot is interrupted at every step.
# needs: strip
# time limit: 400

create_stack vol 128M 32M
make_root /dev/mapper/vol
place=("${in_root[@]}")
start_writer_in_root
cursor=
send vol mirror
interrupt_where_held vol mirror snapshot
stop_writer
