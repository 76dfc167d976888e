#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# dracut without systemd, before anything is looked for: says what era.attach=no means. The root device is found all the
# same, as our udev rule gives its data device the link /dev/mapper/NAME.

if ! getargbool 1 era.attach; then
    while read -r era_name _; do
        warn "era: $era_name: NOT TRACKED: era.attach=no is on the kernel's command line"
    done </etc/eratab
fi
