#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# dracut, before anything is looked for: era.attach=no boots from the data device of what is tracked, and says so.

if ! getargbool 1 era.attach; then
    while read -r era_name era_data _; do
        warn "era: $era_name: NOT TRACKED: era.attach=no is on the kernel's command line"
        if [ "$(getarg root=)" = "/dev/mapper/$era_name" ]; then
            # The last one counts.
            echo "root=$era_data" >/etc/cmdline.d/95-era.conf
        fi
    done </etc/eratab
fi
