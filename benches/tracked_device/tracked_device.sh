# SPDX-License-Identifier: GPL-3.0-or-later
# The machine for the benchmark: its disks, and the program that the host has put there for us.
# time limit: 300
# disk: data 1024
# disk: meta 448

/run/host/tracked_device --inside >/run/host/table
