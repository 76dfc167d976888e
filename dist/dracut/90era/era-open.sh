#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# dracut without systemd: opens the tracked devices whose disks have come. Called again and again until the root device is
# there; dracut gives up and opens a shell by itself.

if getargbool 1 era.attach && [ -z "$era_is_open" ]; then
    modprobe -q dm_era
    era_output=$(era open --all --initrd 2>&1) && era_is_open=yes
    # Not the same line twice a second.
    if [ "$era_output" != "$era_said" ]; then
        era_said=$era_output
        printf '%s\n' "$era_output" >>/run/era-opened
        warn "$era_output"
    fi
    unset era_output
fi
